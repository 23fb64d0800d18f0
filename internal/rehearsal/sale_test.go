package rehearsal

import (
	"strings"
	"testing"
	"time"
)

// What a limit does to answers is judged: who asked for more than it must get none, and nobody else is refused for it.
func TestThePurchaseLimitOfASaleIsJudged(t *testing.T) {
	t.Parallel()
	held := func(n int) answer {
		units := []string{"u1", "u2", "u3"}[:n]
		return answer{buyer: "a", quantity: n, held: &transaction{ID: "t1", Quantity: n, UnitIDs: units}}
	}
	refused := func(n int, code string) answer { return answer{buyer: "b", quantity: n, refused: &problem{Code: code}} }
	for _, c := range []struct {
		name    string
		stock   int
		answers []answer
		want    string
	}{
		{"as it should be", 2, []answer{held(2), refused(3, "purchase-limit"), refused(1, "all-held")}, ""},
		{"held above it", 3, []answer{held(3)}, "although nobody may have more than 2"},
		{"refused below it", 2, []answer{held(2), refused(2, "purchase-limit")}, "which is not above the limit"},
		{"sold out while held", 2, []answer{held(2), refused(1, "sold-out")}, "told sold-out"},
		{"sold out of nothing", 0, []answer{refused(1, "sold-out")}, ""},
	} {
		broken := judge(Case{Buyers: len(c.answers), Stock: c.stock, QuantityMin: 1, QuantityMax: 3}, evidence{answers: c.answers, limit: 2})
		if got := strings.Join(broken, "; "); (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestASaleIsSoldOutWhenItsLastUnitIsHeld(t *testing.T) {
	t.Parallel()
	at := time.Now()
	answers := []answer{
		{held: &transaction{}, answeredAt: at.Add(1500 * time.Millisecond)}, {held: &transaction{}, answeredAt: at.Add(2500 * time.Millisecond)}, {answeredAt: at.Add(time.Hour)},
	}
	if r := saleItemReport("A", &CaseReport{Case: Case{Stock: 2}, UnitsHeld: 2}, nil, answers, at); r.SoldOutSeconds == nil || *r.SoldOutSeconds != 2.5 {
		t.Errorf("%+v", r)
	}
	if r := saleItemReport("A", &CaseReport{Case: Case{Stock: 3}, UnitsHeld: 2}, nil, answers, at); r.SoldOutSeconds != nil {
		t.Errorf("%+v", r)
	}
}

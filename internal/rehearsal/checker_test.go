package rehearsal

import (
	"strings"
	"testing"
	"time"
)

// The checker is checked: each seeded defect must be found, and called by its name.
func TestEachDefectIsFound(t *testing.T) {
	noLeaks(t)
	half := Case{Buyers: 20, Stock: 10}
	mixed := Case{Buyers: 20, Stock: 10, QuantityMin: 1, QuantityMax: 4}
	for name, test := range map[string]struct {
		seed seed
		c    Case
		want []string
	}{
		"oversells by one": {seed{oversells: true}, half,
			[]string{"oversold: 11 units were held, and there are only 10", "10 units received, and the places add up to 11"}},
		"one unit to two buyers":         {seed{doubles: true}, half, []string{"1 unit was given twice: unit unit-1 to "}},
		"one transaction to two buyers":  {seed{shares: true}, half, []string{"1 transaction was given to two buyers", "1 hold was answered and not in the database"}},
		"a hold without its unit":        {seed{short: true}, half, []string{"1 hold was not of the quantity that was asked for", "asked for 1 and got 0 unit ids"}},
		"an answer that never comes":     {seed{closesAlways: true}, half, []string{"1 request was never answered (connection lost 1)"}},
		"a claim that is made twice":     {seed{forgetsKey: true}, half, []string{"it counts 10 units held, and buyers were told of 9"}},
		"the database disagrees":         {seed{stockLies: true}, half, []string{"it counts 9 units held, and buyers were told of 10", "it counts 1 units available, and the answers leave 0"}},
		"a unit that is nowhere":         {seed{losesUnit: true}, half, []string{"10 units received, and the places add up to 9"}},
		"sold-out while units are held":  {seed{soldOut: true}, half, []string{"10 buyers were told sold-out, while all units are in carts"}},
		"a unit is left over":            {seed{leavesOne: true}, half, []string{"1 unit was left over, and a buyer who asked for 1 was refused"}},
		"a unit is left over, mixed":     {seed{leavesOne: true}, mixed, []string{"left over, and a buyer who asked for 1 was refused"}},
		"enough units called not enough": {seed{availableLies: true}, half, []string{"asked for 1 and was told that 1 are available"}},
		"not enough, without how many":   {seed{availableMutes: true}, half, []string{"was not told how many there are"}},
		"a refusal that nothing gives":   {seed{limits: true}, half, []string{"1 buyer was refused for a reason that nothing here gives (purchase-limit 1)"}},
		"a fault":                        {seed{faults: true}, half, []string{"1 request was answered with what is neither a hold nor a refusal (500 internal 1)"}},
		"a hold that is not stored":      {seed{forgetsHold: true}, half, []string{"1 hold was answered and not in the database"}},
		"a hold with other units":        {seed{swapsUnits: true}, half, []string{"1 hold was stored otherwise than answered", "unit-other"}},
		"a hold that is let go":          {seed{releases: true}, half, []string{"1 hold was not held any more", "is released"}},
		"a hold that lapsed":             {seed{lapses: true}, half, []string{"1 hold was found lapsed"}},
		"the audit finds something":      {seed{auditFails: true}, half, []string{`the audit found violations: conservation ["unit-7 is in two places"]`}},
		"the audit looks at nothing":     {seed{auditEmpty: true}, half, []string{"the audit checked nothing"}},
		"the product stays":              {seed{keepsProduct: true}, half, []string{"could not be removed", "409 conflict"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			report := play(t, Options{URLs: []string{newFake(test.seed).start(t)}, Cases: []Case{test.c}})
			if report.OK() {
				t.Fatal("found nothing wrong")
			}
			sentences := strings.Join(report.Cases[0].Broken, "\n")
			for _, want := range test.want {
				mustContain(t, sentences, want)
			}
			mustContain(t, written(t, report), "BROKEN")
		})
	}
}

func TestAnAnswerThatHangsIsFound(t *testing.T) {
	noLeaks(t)
	m := hasty
	m.timeout, m.attempts = 500*time.Millisecond, 2
	report := playWith(t, Options{URLs: []string{newFake(seed{hangs: true}).start(t)}, Cases: []Case{{Buyers: 20, Stock: 10}}}, m)
	if report.OK() || report.Cases[0].Faults != 1 {
		t.Fatal(written(t, report))
	}
	mustContain(t, strings.Join(report.Cases[0].Broken, "\n"), "1 request was never answered (no answer within 500ms 1)")
}

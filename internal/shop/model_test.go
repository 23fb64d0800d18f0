package shop_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/lastunit/lastunit/internal/payment"
	"github.com/lastunit/lastunit/internal/shop"
)

const (
	modelHold        = time.Minute
	modelHoldMax     = 3 * time.Minute
	modelMaxQuantity = 4
	modelPerBuyer    = 3  // requests that a buyer may have queued
	modelQueueUnits  = 12 // that may be asked for in a queue
)

// The whole shop, one call after the other, beside a model in memory that says beforehand what each call is answered: the outcome, the code of a
// refusal with its members, and whatever is shown of transactions, orders, payments, sales and stock. First each script is played, with each of its choices;
// these must meet every state that anything can move to from another, and every refusal of every call. Then rapid draws 100 runs, or -rapid.checks=5000.
func TestTheShopAgreesWithAModel(t *testing.T) {
	t.Parallel()
	provider := &silent{}
	o := shop.Options{
		Hold: modelHold, HoldMax: modelHoldMax, MaxQuantity: modelMaxQuantity, ShowStock: 1000, ClaimWait: longEnough,
		Limits: shop.Limits{QueuePerBuyer: modelPerBuyer, QueueUnits: modelQueueUnits}, Provider: provider,
	}
	w := newWorld(t, o)
	told := make(chan shop.ID, 1000)
	provider.Test = payment.NewTest(w.db, payment.TestOptions{Notify: func(id shop.ID) { told <- id }})
	t.Cleanup(provider.Close)
	o.PayTimeout = 100 * time.Millisecond
	s := &modelShop{
		world: w, hasty: w.server(o), provider: provider, told: told, began: noon(), met: map[string]int{},
	}
	defer func() {
		if t.Skipped() {
			t.Error("a script has drawn something: it must choose")
		}
	}()
	for _, name := range slices.Sorted(maps.Keys(modelScripts)) {
		for turn, turns := 0, 1; turn < turns; turn++ {
			// Without any bits, so that nothing can be drawn.
			rapid.MakeFuzz(func(rt *rapid.T) {
				rt.Logf("script: %s, turn %d", name, turn)
				m := s.newModel(rt, turn)
				modelScripts[name](m, rt)
				m.step(rt)
				m.finish(rt)
				turns = m.turns
			})(t, nil)
		}
	}
	for _, name := range mustBeMet() {
		if s.met[name] == 0 {
			t.Errorf("no script has met: %s", name)
		}
	}
	t.Logf("scripts: %d runs, %d steps, %d different things met", s.runs, s.steps, len(s.met))
	if t.Failed() {
		return
	}
	rapid.Check(t, func(rt *rapid.T) {
		m := s.newModel(rt, -1)
		m.play(rt)
		m.finish(rt)
	})
	if testing.Verbose() {
		for _, name := range slices.Sorted(maps.Keys(s.met)) {
			t.Logf("%6d %s", s.met[name], name)
		}
	}
	t.Logf("%d runs, %d steps, %d different things met", s.runs, s.steps, len(s.met))
}

// modelShop is what all runs share.
type modelShop struct {
	*world
	hasty    *shop.Shop // another server, which does not wait long for the provider
	provider *silent
	told     chan shop.ID // charges of which the provider has told something
	began    time.Time
	runs     int
	steps    int
	met      map[string]int
}

// silent is the provider "test", which can be made to give no answers about what it has.
type silent struct {
	*payment.Test
	away atomic.Bool
}

var errAway = errors.New("the provider is away")

func (s *silent) Ask(ctx context.Context, id shop.ID) (payment.State, error) {
	if s.away.Load() {
		return "", errAway
	}
	return s.Test.Ask(ctx, id)
}

func (s *silent) Void(ctx context.Context, id shop.ID) (payment.State, error) {
	if s.away.Load() {
		return "", errAway
	}
	return s.Test.Void(ctx, id)
}

// elsewhere are the refusals that no single call of this package at a time can be given, why, and which test provokes each.
var elsewhere = map[shop.Code]struct{ why, file, test string }{
	shop.Unauthenticated: {"internal/httpapi gives it: the shop is told who calls", "../httpapi/token_test.go", "TestBadTokens"},
	shop.Forbidden:       {"the test provider sends no signed news; all else that is forbidden internal/httpapi refuses", "pay_stripe_test.go", "TestAnEventThatLiesPaysNothing"},
	shop.OutcomeUnknown: {
		"the database has to be lost in a commit", "outcome_test.go", "TestAClaimSaysThatItsOutcomeIsUnknownWhenTheDatabaseStaysAway",
	},
}

func TestWhatTheModelLeavesOutIsTestedElsewhere(t *testing.T) {
	t.Parallel()
	for code, e := range elsewhere {
		text, err := os.ReadFile(e.file)
		if err != nil || !strings.Contains(string(text), "func "+e.test+"(t *testing.T) {") {
			t.Errorf("%s (%s): there is no %s in %s, %v", code, e.why, e.test, e.file, err)
		}
	}
}

func mustBeMet() []string {
	all := slices.Concat(modelTransitions, modelRefusals)
	for _, code := range shop.Codes() {
		if _, is := elsewhere[code]; !is {
			all = append(all, "refused "+string(code))
		}
	}
	return all
}

// play is what a run draws: first a script, perhaps, then whatever comes.
func (m *model) play(rt *rapid.T) {
	scripts := slices.Sorted(maps.Keys(modelScripts))
	if i := rapid.IntRange(0, 2*len(scripts)-1).Draw(rt, "script"); i < len(scripts) {
		rt.Logf("script: %s", scripts[i])
		modelScripts[scripts[i]](m, rt)
		m.step(rt)
		m.calm(rt)
	}
	var names []string
	for name, c := range modelCommands {
		for range c.weight {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for range rapid.IntRange(5, 25).Draw(rt, "steps") {
		name := rapid.SampledFrom(names).Draw(rt, "command")
		modelCommands[name].do(m, rt)
		m.step(rt)
	}
}

// calm brings about what scripts begin with: everything is on sale, no hold is live and no sale is open.
func (m *model) calm(rt *rapid.T) {
	if m.paused {
		m.pauseSelling(rt, false)
		m.step(rt) // what had to wait is settled now, and not when the sale is over
	}
	m.put(rt, m.products[0], true, m.products[0].price)
	m.move(rt, 2*time.Hour)
	m.step(rt)
}

// step follows each command: what the clock brings about happens in the model, queues are settled, and the counts are compared.
func (m *model) step(rt *rapid.T) {
	m.steps++
	m.pass()
	m.drain(rt)
	m.hear(rt)
	m.compareStock(rt)
}

// hear gives the shop whatever news the provider has had of charges. All of it is old.
func (m *model) hear(rt *rapid.T) {
	for {
		select {
		case id := <-m.told:
			if !m.provider.away.Load() {
				if err := m.PaymentChanged(background, id); err != nil {
					rt.Fatalf("news of %s: %v", id, err)
				}
			}
		default:
			return
		}
	}
}

// finish ends a run: nothing is under way any more, and everything is held against the model, the books and the audit.
func (m *model) finish(rt *rapid.T) {
	m.compareAll(rt)
	m.provider.away.Store(false)
	for _, o := range m.orders {
		if p := o.live(); p != nil && p.status == payment.Pending {
			m.newsOf(rt, p, choose(m, rt, "taken", true, false))
		}
	}
	if m.paused {
		m.pauseSelling(rt, false)
	}
	m.step(rt)
	m.compareAll(rt)
	m.move(rt, 50*time.Hour)
	m.step(rt)
	m.sweep(rt)
	m.compareAll(rt)
	for _, p := range m.products {
		a, _, err := m.Audit(background, shop.AuditRequest{SKU: p.sku})
		if err != nil {
			rt.Fatal(err)
		}
		for _, c := range a.Checks {
			for _, v := range c.Violations {
				rt.Errorf("audit %s: %+v", c.Name, v)
			}
		}
	}
	books, err := m.provider.Books(background)
	if err != nil {
		rt.Fatal(err)
	}
	for _, b := range books {
		if b.Captured != m.captured[b.Currency] || b.Refunded != m.refunded[b.Currency] {
			rt.Fatalf("the provider took %d %s and gave back %d, want %d and %d", b.Captured, b.Currency, b.Refunded, m.captured[b.Currency], m.refunded[b.Currency])
		}
	}
}

// is counts something that was met.
func (m *model) is(format string, args ...any) { m.met[fmt.Sprintf(format, args...)]++ }

// answered holds that a call was refused as the model says, or was not; it tells whether it was refused.
func (m *model) answered(rt *rapid.T, call string, err error, want *shop.Refusal) bool {
	rt.Helper()
	var got *shop.Refusal
	if err != nil && !errors.As(err, &got) {
		rt.Fatalf("%s: fault: %v", call, err)
	}
	m.sameRefusal(rt, call, got, want)
	if want == nil {
		m.is("%s done", call)
		return false
	}
	m.is("%s %s", call, want.Code)
	m.is("refused %s", want.Code)
	return true
}

func (m *model) sameRefusal(rt *rapid.T, call string, got, want *shop.Refusal) {
	rt.Helper()
	if got == nil || want == nil {
		if got != want {
			rt.Fatalf("%s: refused with %+v, want %+v", call, got, want)
		}
		return
	}
	missing := slices.ContainsFunc(want.OrderIDs, func(id shop.ID) bool { return !slices.Contains(got.OrderIDs, id) })
	if got.Code != want.Code || !alike(got.Available, want.Available) || !alike(got.Limit, want.Limit) || !alike(got.Remaining, want.Remaining) ||
		!sameTime(got.NextReleaseAt, want.NextReleaseAt) || !sameTime(got.OpensAt, want.OpensAt) || want.State != "" && got.State != want.State ||
		!slices.Equal(got.TransactionIDs, want.TransactionIDs) || missing || want.Code == shop.CoolDown && got.RetryAfter.Round(time.Millisecond) != want.RetryAfter {
		rt.Fatalf("%s: refused with %s, want %s", call, members(got), members(want))
	}
}

func members(r *shop.Refusal) string {
	text := fmt.Sprintf("%s state=%q orders=%v transactions=%v after=%s", r.Code, r.State, r.OrderIDs, r.TransactionIDs, r.RetryAfter)
	if r.Available != nil {
		text += fmt.Sprint(" available=", *r.Available)
	}
	if r.Limit != nil && r.Remaining != nil {
		text += fmt.Sprint(" limit=", *r.Limit, " remaining=", *r.Remaining)
	}
	return text + fmt.Sprint(" next=", r.NextReleaseAt, " opens=", r.OpensAt)
}

func alike[T comparable](a, b *T) bool { return (a == nil) == (b == nil) && (a == nil || *a == *b) }

func sameTime(a, b *time.Time) bool { return (a == nil) == (b == nil) && (a == nil || a.Equal(*b)) }

func refusedFor(err error, codes ...shop.Code) bool {
	var r *shop.Refusal
	return errors.As(err, &r) && slices.Contains(codes, r.Code)
}

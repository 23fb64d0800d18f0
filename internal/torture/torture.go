// Package torture drives real servers over HTTP with everything that buyers and operators do, breaks what they stand on, keeps a history of what was answered outside the
// database, and holds the two against each other. What it looks for, and what it has found, is in docs/proof.md.
package torture

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lastunit/lastunit/internal/torture/bug"
	"github.com/lastunit/lastunit/internal/torture/check"
	"github.com/lastunit/lastunit/internal/torture/drive"
	"github.com/lastunit/lastunit/internal/torture/history"
	"github.com/lastunit/lastunit/internal/torture/world"
)

// Options of Run.
type Options struct {
	Binary  string        // the built lastunit
	For     time.Duration // how long to go on beginning rounds
	Round   time.Duration // how long clients drive before everything is healed, drained and checked
	World   time.Duration // when a world is this old, another is made in its place, so that what is copied for a standby and read by checks stays small; 0: there is one
	Servers int
	Standby bool
	Clients int
	Rate    float64 // attempts a second that are begun at most; 0: as many as go
	Plenty  int     // units of what there is plenty of; 0: drive.Options says how many
	Seed    uint64  // 0: one is drawn
	// Faults are those to inject, by name; empty: all that this machine allows. "none": none.
	Faults  []string
	History string // a directory for the histories; empty: they are kept in memory alone
	Bug     *bug.Bug
	Ahead   string // a build of lastunit whose clock is an hour ahead, and of the bug if there is one; empty: clocks are right
	Before  string // an earlier build of lastunit, which knows all migrations but the newest; empty: there is no upgrade
	Log     *slog.Logger
}

// Result is what a run has found.
type Result struct {
	Seed       uint64            `json:"seed"`
	Rounds     int               `json:"rounds"`
	Took       time.Duration     `json:"took"`
	Figures    check.Figures     `json:"figures"`
	Counts     map[string]int    `json:"counts"` // of faults
	Outages    map[string]Outage `json:"outages"`
	Violations []check.Violation `json:"violations"`
	// Found is how long it took until the first violation was known; 0: there was none.
	Found time.Duration `json:"found"`
	Audit string        `json:"audit"` // of the last world
}

// run is a run under way.
type run struct {
	Options
	w      *world.World
	rng    *rand.Rand
	out    io.Writer
	began  time.Time
	faults []world.Fault
	mu     sync.Mutex
	done   []injected    // guarded by mu while clients drive
	driven time.Duration // of the history, when clients stopped driving
	result Result
}

// injected is a fault that was injected, within the present round.
type injected struct {
	name       string
	stills     bool
	start, end time.Duration // of the history
}

// Run tortures until Options.For is over, or a round has found something, and tells what. An error says that nothing can be told.
func Run(ctx context.Context, o Options, out io.Writer) (*Result, error) {
	for o.Seed == 0 {
		o.Seed = rand.Uint64N(1 << 48)
	}
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	r := &run{Options: o, rng: rand.New(rand.NewPCG(o.Seed, 0)), out: out, began: time.Now()}
	r.result = Result{Seed: o.Seed, Counts: map[string]int{}, Outages: map[string]Outage{}}
	fmt.Fprintf(out, "seed %d: %d servers, standby %t, %d clients, rounds of %s for %s\n", o.Seed, o.Servers, o.Standby, o.Clients, o.Round, o.For)
	for {
		if err := r.inWorld(ctx); err != nil {
			return &r.result, err
		}
		if time.Since(r.began) >= o.For || len(r.result.Violations) > 0 {
			r.result.Took = time.Since(r.began)
			return &r.result, nil
		}
	}
}

// inWorld tortures a world that is made for it, until that has grown old, time is up, or a round has found something. The run begins when the first is up.
func (r *run) inWorld(ctx context.Context) error {
	if err := r.start(ctx); err != nil {
		return err
	}
	defer r.w.Stop()
	began := time.Now()
	if r.result.Rounds == 0 {
		r.began = began
	}
	for time.Since(r.began) < r.For && (r.World == 0 || time.Since(began) < r.World) && len(r.result.Violations) == 0 {
		if err := r.round(ctx); err != nil {
			return fmt.Errorf("round %d of seed %d: %w", r.result.Rounds, r.Seed, err)
		}
	}
	return r.finish(ctx)
}

// hold is how long a hold lasts outside a sale.
const hold = 3 * time.Second

// start brings a world up, with the bug in it if there is one.
func (r *run) start(ctx context.Context) (err error) {
	r.faults = nil
	r.w, err = world.Start(ctx, world.Options{
		Binary: r.Binary, Servers: r.Servers, Standby: r.Standby, Log: r.Log, Ahead: r.Ahead, Before: r.Before,
		Args: []string{"--hold", hold.String(), "--sweep-every", "500ms"},
	})
	if err != nil {
		return fmt.Errorf("start the world: %w", err)
	}
	if r.Bug != nil {
		if err := r.spoil(ctx); err != nil {
			r.w.Stop()
			return err
		}
	}
	for _, f := range r.w.Faults() {
		if len(r.Faults) == 0 || slices.Contains(r.Faults, f.Name) {
			r.faults = append(r.faults, f)
		}
	}
	for _, name := range r.Faults {
		if name != "none" && !slices.ContainsFunc(r.faults, func(f world.Fault) bool { return f.Name == name }) {
			r.w.Stop()
			return fmt.Errorf("there is no fault %q here; there are: %v", name, names(r.w.Faults()))
		}
	}
	if r.Bug != nil {
		r.favour(r.Bug.Needs)
	}
	return nil
}

// favour has faults of these names be four in five of those that are injected, those between clients and servers aside.
func (r *run) favour(needed []string) {
	others := 0
	for _, f := range r.faults {
		if !slices.Contains(needed, f.Name) {
			others += f.Weight
		}
	}
	for i := range r.faults {
		if slices.Contains(needed, r.faults[i].Name) {
			r.faults[i].Weight = 4 * others / len(needed)
		}
	}
}

func names(faults []world.Fault) (all []string) {
	for _, f := range faults {
		all = append(all, f.Name)
	}
	return all
}

// spoil takes out of the schema what would refuse the bug.
func (r *run) spoil(ctx context.Context) error {
	db, err := r.w.Connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close(ctx) }()
	for _, statement := range r.Bug.SQL {
		if _, err := db.Exec(ctx, statement); err != nil {
			return fmt.Errorf("put the bug %s into the schema: %w", r.Bug.Name, err)
		}
	}
	return nil
}

// round drives, heals, drains and checks.
func (r *run) round(ctx context.Context) error {
	r.result.Rounds++
	began := time.Now()
	log, closeLog, err := r.newLog()
	if err != nil {
		return err
	}
	defer closeLog()
	prefix := fmt.Sprintf("r%d-", r.result.Rounds)
	plenty := r.Plenty
	if r.Bug != nil {
		plenty = cmp.Or(r.Plenty, r.Bug.Plenty, 1000) // half as many as usual: there is less to be drained before what was found is known
	}
	d, err := drive.Prepare(ctx, drive.Options{
		Plenty: plenty, Prefix: prefix, Seed: r.rng.Uint64(), Clients: r.Clients, Rate: r.Rate, Key: r.w.Key(), Addresses: r.w.Addresses(), Log: log,
	})
	if err != nil {
		return fmt.Errorf("prepare: %w", err)
	}
	r.drive(ctx, d, log)
	driven := time.Since(began)
	if err := r.w.Calm(ctx); err != nil {
		return fmt.Errorf("calm: %w", err)
	}
	calm := time.Since(began)
	if err := r.drain(ctx, d, log); err != nil {
		r.violated(check.Violation{Rule: "drain", Text: "when all faults were over: " + err.Error()})
	}
	drained := time.Since(began)
	ops, err := log.Ops()
	if err != nil {
		return fmt.Errorf("write the history: %w", err)
	}
	r.outages(ops)
	figures, err := r.check(ctx, ops, log.Began, prefix, d.Limit())
	if err != nil {
		return err
	}
	r.result.Figures = r.result.Figures.Plus(figures)
	if said := slices.Collect(strings.Lines(r.w.Said())); len(r.result.Violations) > 0 && len(said) > 0 {
		fmt.Fprintf(r.out, "the first lines, of %d, that servers logged:\n%s\n", len(said), strings.Join(said[:min(len(said), 10)], ""))
	}
	fmt.Fprintf(r.out, "round %d: %d attempts in %.0f s, %d without an outcome; %d claims, %d orders; %d faults; calm after %.1f s, drained after %.1f s, checked after %.1f s: %d violations\n",
		r.result.Rounds, figures.Attempts, driven.Seconds(), figures.UnknownAttempts, figures.Claims, figures.Orders, len(r.done),
		(calm - driven).Seconds(), (drained - calm).Seconds(), (time.Since(began) - drained).Seconds(), len(r.result.Violations))
	return ctx.Err()
}

// drain lets clients get all that is left, and look at everything. It gives up after some minutes, and where a mistake is looked for when nothing is got on with for
// so long that no hold and no unpaid order can be what is waited for.
func (r *run) drain(ctx context.Context, d *drive.Round, log *history.Log) error {
	const most = 4 * time.Minute
	patience := most
	if r.Bug != nil {
		patience = 20 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	return d.Drain(ctx, log, patience)
}

// newLog begins the history of a round, in a file of its own if histories are kept.
func (r *run) newLog() (*history.Log, func(), error) {
	if r.History == "" {
		return history.NewLog(nil), func() {}, nil
	}
	if err := os.MkdirAll(r.History, 0o755); err != nil {
		return nil, nil, err
	}
	file, err := os.Create(filepath.Join(r.History, fmt.Sprintf("round-%d.jsonl", r.result.Rounds)))
	if err != nil {
		return nil, nil, err
	}
	return history.NewLog(file), func() { _ = file.Close() }, nil
}

// drive lets clients drive and faults happen, and returns when both have ended.
func (r *run) drive(ctx context.Context, d *drive.Round, log *history.Log) {
	driving, stop := context.WithTimeout(ctx, r.Round)
	defer stop()
	var all sync.WaitGroup
	r.done = nil
	for _, ofClients := range []bool{false, true} {
		faults := slices.DeleteFunc(slices.Clone(r.faults), func(f world.Fault) bool { return f.OfClients != ofClients })
		calm := 700 * time.Millisecond
		if ofClients {
			calm *= 2 // what is between clients and servers keeps so many from being served that little else is seen
		}
		rng := rand.New(rand.NewPCG(r.rng.Uint64(), 0))
		all.Go(func() { r.harm(driving, log, rng, faults, calm) })
	}
	d.Drive(driving, log)
	r.driven = log.Now()
	all.Wait()
}

// harm injects one fault after the other, chosen by their weights, with at most so long between them.
func (r *run) harm(ctx context.Context, log *history.Log, rng *rand.Rand, faults []world.Fault, calm time.Duration) {
	total := 0
	for _, f := range faults {
		total += f.Weight
	}
	for total > 0 && pause(ctx, 50*time.Millisecond+time.Duration(rng.Int64N(int64(calm)))) {
		n := rng.IntN(total)
		i := 0
		for ; n >= faults[i].Weight; i++ {
			n -= faults[i].Weight
		}
		f := faults[i]
		done := injected{name: f.Name, stills: f.Stills, start: log.Now()}
		if err := f.Do(ctx, rng); err != nil && ctx.Err() == nil {
			r.Log.Warn("a fault could not be injected, or healed", "fault", f.Name, "error", err)
		}
		done.end = log.Now()
		r.mu.Lock()
		r.done = append(r.done, done)
		r.mu.Unlock()
	}
}

func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// check holds a round's history against its rows.
func (r *run) check(ctx context.Context, ops []history.Op, began time.Time, prefix string, limit int) (check.Figures, error) {
	db, err := r.w.Connect(ctx)
	if err != nil {
		return check.Figures{}, err
	}
	defer func() { _ = db.Close(ctx) }()
	rows, err := check.Rows(ctx, db, prefix, hold)
	if err != nil {
		return check.Figures{}, fmt.Errorf("read the rows: %w", err)
	}
	r.standstill(ops)
	violations, figures := check.All(ops, began, rows, limit)
	r.violated(violations...)
	var deadlocks int
	if err := db.QueryRow(ctx, `SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()`).Scan(&deadlocks); err != nil {
		return figures, err
	}
	if deadlocks > 0 {
		r.violated(check.Violation{Rule: "deadlock", Text: fmt.Sprintf("PostgreSQL has counted %d deadlocks:\n%s", deadlocks, r.w.Deadlocks())})
	}
	if len(r.result.Violations) > 0 && r.Bug == nil { // of this round, which is the last then
		if err := r.keep(ops, began, rows); err != nil {
			return figures, fmt.Errorf("keep what was found: %w", err)
		}
	}
	return figures, nil
}

// keep writes all that a round is judged by to a file, for whoever looks into what was found: it can't be had again.
func (r *run) keep(ops []history.Op, began time.Time, rows *check.Database) error {
	file, err := os.CreateTemp(r.History, fmt.Sprintf("lastunit-round-%d-*.json", r.result.Rounds))
	if err != nil {
		return err
	}
	fmt.Fprintf(r.out, "the attempts and the rows are in %s\n", file.Name())
	err = json.NewEncoder(file).Encode(struct {
		Began    time.Time
		Attempts []history.Op
		Rows     *check.Database
	}{began, ops, rows})
	return errors.Join(err, file.Close())
}

// standstill counts as waiting the time in which attempts could not be answered, because a fault kept servers from being heard.
func (r *run) standstill(ops []history.Op) {
	for _, f := range r.done {
		for i := range ops {
			if op := &ops[i]; f.stills && op.Start < f.end && op.End > f.start {
				op.Wait += min(op.End, f.end) - max(op.Start, f.start)
			}
		}
	}
}

// violated prints the first violations of each rule.
func (r *run) violated(all ...check.Violation) {
	const most = 3
	printed := map[string]int{}
	for _, v := range all {
		if r.result.Found == 0 {
			r.result.Found = time.Since(r.began)
		}
		r.result.Violations = append(r.result.Violations, v)
		if printed[v.Rule]++; printed[v.Rule] <= most {
			check.Print(r.out, v)
		}
	}
}

// finish audits what is left of a world.
func (r *run) finish(ctx context.Context) error {
	audit, err := r.w.Audit(ctx)
	r.result.Audit = audit
	for name, n := range r.w.Counts() {
		r.result.Counts[name] += n
	}
	if err != nil {
		r.violated(check.Violation{Rule: "audit", Text: err.Error()})
	}
	return nil
}

// ErrViolated ends a command whose run has found something.
var ErrViolated = errors.New("the history and the database do not fit")

package rehearsal

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"time"
)

// Options says what to rehearse, and where.
type Options struct {
	// URLs are the base addresses of servers that share one database, http or https. Buyers are spread over them round
	// robin, and an answer of one server is verified at the next. At least one is required.
	URLs []string

	// Key is an operator key with the scopes catalog, stock, claim and audit.
	Key string

	// Cases are played one after the other; nil means DefaultCases.
	Cases []Case

	// Rate is 0 to release all buyers at once. Otherwise arrival is open: so many requests per second, each at an instant
	// fixed beforehand, whether or not earlier ones were answered.
	Rate float64

	// Mode is the way by which buyers ask; empty means Direct.
	Mode Mode

	// Poll makes the queued buyers clients that know two calls only: to post a request, without a key, and to poll its
	// transaction at the pace of Retry-After. Otherwise they send a key, and their looks wait at the server. It needs a
	// mode that queues.
	Poll bool

	// Keep leaves the products of the rehearsal, and everything that was sold of them, where they are.
	Keep bool

	// Naive is the URL of a PostgreSQL database. When it is set, each case is sent to a read-then-write shop first, which
	// lives in a schema of its own there and is dropped afterwards.
	Naive string

	// InProcess says that the service runs in this process too, so that every connection takes two open files.
	InProcess bool

	// Progress gets a progress bar when it is a terminal, a line per case when it is not, nothing when it is nil.
	Progress io.Writer

	// TLS is for https URLs; nil trusts the system's certificates.
	TLS *tls.Config
}

// Case is one crowd before one product.
type Case struct {
	Buyers int `json:"buyers"`
	Stock  int `json:"stock"` // units

	// Buyers ask for QuantityMin to QuantityMax units, spread evenly: the same buyer always asks for the same quantity.
	// Zero means one.
	QuantityMin int `json:"quantity_min"`
	QuantityMax int `json:"quantity_max"`
}

// DefaultCases are 10, 100, 200, 300, 500, 1000 and 5000 buyers, each of one unit, with stock for half of them.
func DefaultCases() []Case {
	var cases []Case
	for _, buyers := range []int{10, 100, 200, 300, 500, 1000, 5000} {
		cases = append(cases, Case{Buyers: buyers, Stock: buyers / 2, QuantityMin: 1, QuantityMax: 1})
	}
	return cases
}

// quantity is what buyer number i asks for.
func (c Case) quantity(i int) int {
	return c.QuantityMin + i%(c.QuantityMax-c.QuantityMin+1)
}

func (c Case) demand() int {
	demand := 0
	for i := range c.Buyers {
		demand += c.quantity(i)
	}
	return demand
}

func (c Case) String() string {
	buyers := plural(c.Buyers, "buyer")
	switch {
	case c.QuantityMax > c.QuantityMin:
		buyers += fmt.Sprintf(" of %d to %d", c.QuantityMin, c.QuantityMax)
	case c.QuantityMax > 1:
		buyers += fmt.Sprintf(" of %d", c.QuantityMax)
	}
	return buyers + ", " + plural(c.Stock, "unit")
}

// manners are how a careful client behaves.
type manners struct {
	timeout      time.Duration // of one attempt
	lateAfter    time.Duration // behind its instant, a request under a rate is late
	attempts     int
	pause        time.Duration // before the second attempt; doubled each time
	pauseMax     time.Duration
	patience     time.Duration // with a queued request that does not move
	cleanupLimit time.Duration
}

var careful = manners{
	timeout:      30 * time.Second,
	lateAfter:    time.Second,
	attempts:     8,
	pause:        100 * time.Millisecond,
	pauseMax:     2 * time.Second,
	patience:     time.Minute,
	cleanupLimit: time.Minute,
}

// Run plays the cases and returns what came of them; the Report says whether every promise was kept.
//
// An error means that the rehearsal itself could not be run or finished: options that make no sense, a server that is not
// there, a key without the scopes, too few open files, or a cancelled context. The Report then has the cases that were
// finished before, and is not OK; it is nil when there was nothing to report. Whatever happens, also after cancellation,
// Run removes its products (unless Keep) and the naive shop before it returns.
func Run(ctx context.Context, options Options) (*Report, error) {
	return run(ctx, options, careful)
}

func run(ctx context.Context, options Options, m manners) (report *Report, err error) {
	if options.Mode == "" {
		options.Mode = Direct
	}
	cases, err := options.check()
	if err != nil {
		return nil, err
	}
	servers, err := parseServers(options.URLs, options.TLS)
	if err != nil {
		return nil, err
	}
	operator := newOperator(servers, options.Key, options.TLS, m)
	defer operator.close()
	if err := operator.reach(ctx); err != nil {
		return nil, err
	}
	bar := newProgress(options.Progress)
	defer bar.clear()

	var naive *naiveShop
	if options.Naive != "" {
		if naive, err = openNaive(ctx, options.Naive); err != nil {
			return nil, fmt.Errorf("naive shop: %w", err)
		}
		defer func() {
			limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), m.cleanupLimit)
			defer cancel()
			if closing := naive.close(limited); closing != nil {
				err = errors.Join(err, fmt.Errorf("remove the naive shop: %w", closing))
			}
		}()
	}

	report = &Report{StartedAt: time.Now().UTC(), Servers: options.URLs, Rate: options.Rate, Mode: options.Mode, Poll: options.Poll,
		Kept: options.Keep, Cases: []CaseReport{}}
	defer func() {
		report.FinishedAt = time.Now().UTC()
		report.Incomplete = len(report.Cases) < len(cases)
	}()
	for i, c := range cases {
		bar.prefix = fmt.Sprintf("[%d/%d] %s", i+1, len(cases), c)
		p := player{Case: c, manners: m, options: options, operator: operator, servers: servers, bar: bar}
		played, playErr := p.play(ctx, naive)
		if playErr != nil {
			return report, fmt.Errorf("%s: %w", c, playErr)
		}
		report.Cases = append(report.Cases, *played)
		bar.line(played.summary())
	}
	return report, nil
}

// check returns the cases with their defaults filled in, or everything that is wrong with the options.
func (o Options) check() ([]Case, error) {
	var problems []error
	if len(o.URLs) == 0 {
		problems = append(problems, errors.New("no server to rehearse against"))
	}
	if o.Key == "" {
		problems = append(problems, errors.New("no operator key"))
	}
	if o.Rate < 0 || math.IsNaN(o.Rate) || math.IsInf(o.Rate, 0) {
		problems = append(problems, fmt.Errorf("rate %v is not a number of requests per second", o.Rate))
	}
	if _, err := ParseMode(string(o.Mode)); err != nil && o.Mode != "" {
		problems = append(problems, err)
	}
	if o.Poll && o.Mode != Queued && o.Mode != Both {
		problems = append(problems, errors.New("there is nothing to poll: no buyer is queued"))
	}
	cases := o.Cases
	if cases == nil {
		cases = DefaultCases()
	}
	if len(cases) == 0 {
		problems = append(problems, errors.New("no case to rehearse"))
	}
	filled := make([]Case, 0, len(cases))
	buyersMax := 0
	for _, c := range cases {
		if c.QuantityMin == 0 {
			c.QuantityMin = 1
		}
		if c.QuantityMax == 0 {
			c.QuantityMax = c.QuantityMin
		}
		if c.Buyers < 1 || c.Stock < 1 || c.QuantityMin < 1 || c.QuantityMax < c.QuantityMin {
			problems = append(problems, fmt.Errorf("%d buyers of %d to %d, %d units: a case needs at least one buyer, one unit and a quantity of 1, and the smaller quantity first",
				c.Buyers, c.QuantityMin, c.QuantityMax, c.Stock))
		}
		buyersMax = max(buyersMax, c.Buyers)
		filled = append(filled, c)
	}
	if err := checkFileLimit(buyersMax, o.InProcess || o.Naive != ""); err != nil {
		problems = append(problems, err)
	}
	return filled, errors.Join(problems...)
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

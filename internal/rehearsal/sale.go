package rehearsal

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"
)

// SaleOptions says which planned sale to rehearse, and how. Cases and Naive of the Options stay empty; the Key needs the scope sale as well.
type SaleOptions struct {
	Options

	// Sale is the id of the sale: its items, allotments, prices, limits, hold and cool-down are played, on marked copies of its products.
	Sale string

	// Buyers are spread over its items; 0 means two for each unit that they can have, at most 5000.
	Buyers int

	// QuantityMin and QuantityMax are as in a Case.
	QuantityMin, QuantityMax int

	// Name is what the copies' SKUs begin with, after "rehearsal-"; empty means a random one.
	Name string

	// Count is counted in while the sale is played, if it is not nil.
	Count *Count
}

const (
	saleBuyersAtMost = 5000
	// playedHoldMin: what lapses while the answers are checked would show nothing.
	playedHoldMin = 60
	copyOpensIn   = time.Hour // unless it is opened before, when all buyers are there
	copyLasts     = 3 * time.Hour
)

// plannedSale is a sale as the service shows it.
type plannedSale struct {
	ID              string        `json:"id,omitempty"`
	Name            string        `json:"name"`
	OpensAt         time.Time     `json:"opens_at"`
	ClosesAt        time.Time     `json:"closes_at"`
	HoldSeconds     int           `json:"hold_seconds"`
	PurchaseLimit   *int          `json:"purchase_limit"`
	MaxQuantity     int           `json:"max_quantity"`
	CooldownSeconds int           `json:"cooldown_seconds"`
	Items           []plannedItem `json:"items"`
}

type plannedItem struct {
	SKU      string `json:"sku"`
	Price    price  `json:"price"`
	Quantity *int   `json:"quantity"`
}

type price struct {
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`
}

// salePlayer plays a sale.
type salePlayer struct {
	player
	options SaleOptions
	plan    plannedSale
	stock   []int    // of each item
	copies  []string // the SKUs
	copyID  string   // of the sale
}

// RunSale plays a planned sale, opened now, on marked copies of its products, which buyers of the shop don't see. What it returns is as with Run.
func RunSale(ctx context.Context, options SaleOptions) (*SaleReport, error) {
	return runSale(ctx, options, careful)
}

func runSale(ctx context.Context, o SaleOptions, m manners) (report *SaleReport, err error) {
	if o.Mode == "" {
		o.Mode = Direct
	}
	o.QuantityMin = max(o.QuantityMin, 1)
	o.QuantityMax = max(o.QuantityMax, o.QuantityMin)
	if err := o.check(); err != nil {
		return nil, err
	}
	servers, err := parseServers(o.URLs, o.TLS)
	if err != nil {
		return nil, err
	}
	operator := newOperator(servers, o.Key, o.TLS, m)
	defer operator.close()
	if err := operator.reach(ctx); err != nil {
		return nil, err
	}
	bar := newProgress(o.Progress)
	defer bar.clear()
	p := &salePlayer{player: player{manners: m, options: o.Options, operator: operator, servers: servers, bar: bar}, options: o}
	if err := p.read(ctx); err != nil {
		return nil, err
	}
	bar.prefix = fmt.Sprintf("%s, %s", p.plan.Name, plural(p.Buyers, "buyer"))
	return p.play(ctx)
}

func (o SaleOptions) check() error {
	var problems []error
	if _, err := uuid.Parse(o.Sale); err != nil {
		problems = append(problems, fmt.Errorf("%q is not the id of a sale", o.Sale))
	}
	if o.Buyers < 0 || o.Buyers > saleBuyersAtMost {
		problems = append(problems, fmt.Errorf("%d buyers: a sale is rehearsed with 1 to %d", o.Buyers, saleBuyersAtMost))
	}
	if o.Cases != nil || o.Naive != "" {
		problems = append(problems, errors.New("a sale is played as it is planned: without cases, and without the naive shop"))
	}
	o.Cases = []Case{{Buyers: max(o.Buyers, 1), Stock: 1, QuantityMin: o.QuantityMin, QuantityMax: o.QuantityMax}}
	_, err := o.Options.check()
	return errors.Join(append(problems, err)...)
}

// read reads what is planned, and how many units of each product that is.
func (p *salePlayer) read(ctx context.Context) error {
	first := p.servers[0]
	if err := p.operator.call(ctx, first, http.MethodGet, salePath(p.options.Sale), nil, nil, &p.plan); err != nil {
		return err
	}
	units := 0
	for _, item := range p.plan.Items {
		n := 0
		if item.Quantity != nil {
			n = *item.Quantity
		} else {
			there, err := p.operator.places(ctx, item.SKU)
			if err != nil {
				return err
			}
			n = there.Available
		}
		p.stock = append(p.stock, n)
		units += n
	}
	o := p.options
	if o.QuantityMax > p.plan.MaxQuantity {
		return fmt.Errorf("the buyers ask for up to %d units, and one claim in this sale may ask for %d: rehearse with a smaller --quantity", o.QuantityMax, p.plan.MaxQuantity)
	}
	if o.Buyers == 0 {
		o.Buyers = int(math.Ceil(4 * float64(units) / float64(o.QuantityMin+o.QuantityMax)))
		o.Buyers = min(max(o.Buyers, 2*len(p.plan.Items)), saleBuyersAtMost)
	}
	p.Case = Case{Buyers: o.Buyers, Stock: units, QuantityMin: o.QuantityMin, QuantityMax: o.QuantityMax}
	return checkFileLimit(o.Buyers, o.InProcess)
}

func salePath(id string) string { return "/api/v1/sales/" + url.PathEscape(id) }

// play returns an error when the sale could not be played to its end. Its copies are removed in any case, also after the context has ended.
func (p *salePlayer) play(ctx context.Context) (report *SaleReport, err error) {
	name := p.options.Name
	if name == "" {
		name = strings.ReplaceAll(uuid.NewString(), "-", "")[:12]
	}
	for n := range p.plan.Items {
		p.copies = append(p.copies, fmt.Sprintf("rehearsal-%s-%d", name, n+1))
	}
	if !p.options.Keep {
		defer func() {
			removing := p.remove(ctx)
			switch {
			case removing == nil:
			case report == nil:
				err = errors.Join(err, fmt.Errorf("copies are still there: %w", removing))
			default:
				report.Broken = append(report.Broken, fmt.Sprintf("copies could not be removed: %v", removing))
			}
		}()
	}
	started := time.Now().UTC()
	if err := p.copy(ctx); err != nil {
		return nil, err
	}
	o := p.options
	answers, released, err := p.send(ctx, p.servers, errand{
		skus: p.copies, key: o.Key, rate: o.Rate, mode: o.Mode, poll: o.Poll, count: o.Count,
		opens: func(ctx context.Context) error { return p.move(ctx, "open") },
	})
	if err != nil {
		return nil, err
	}
	report = p.newReport(started)
	for n := range p.plan.Items {
		report.add(p.judgeItem(ctx, n, answers, released))
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	report.Latency = latencyOf(answers)
	report.Course = courseOf(answers, p.Stock, released)
	report.accept = wayReport(Queued, answers).AcceptLatency
	report.FinishedAt = time.Now().UTC()
	p.bar.line(report.summary())
	return report, nil
}

// copy makes the products, with as many units as the sale has of each, and the sale, scheduled.
func (p *salePlayer) copy(ctx context.Context) error {
	first := p.servers[0]
	copied := p.plan
	copied.ID = ""
	copied.Name = "Rehearsal of " + p.plan.Name
	if text := []rune(copied.Name); len(text) > 200 {
		copied.Name = string(text[:200])
	}
	copied.HoldSeconds = p.hold()
	copied.OpensAt = time.Now().UTC().Add(copyOpensIn)
	copied.ClosesAt = copied.OpensAt.Add(copyLasts)
	copied.Items = nil
	for n, item := range p.plan.Items {
		if err := p.operator.stockProduct(ctx, p.copies[n], p.stock[n]); err != nil {
			return err
		}
		item.SKU = p.copies[n]
		copied.Items = append(copied.Items, item)
	}
	var made plannedSale
	if err := p.operator.call(ctx, first, http.MethodPost, "/api/v1/sales", nil, copied, &made); err != nil {
		return err
	}
	p.copyID = made.ID
	return p.move(ctx, "schedule")
}

// hold is how long a claim keeps its units in the copy.
func (p *salePlayer) hold() int { return max(p.plan.HoldSeconds, playedHoldMin) }

func (p *salePlayer) move(ctx context.Context, action string) error {
	return p.operator.call(ctx, p.servers[0], http.MethodPost, salePath(p.copyID)+"/"+action, nil, nil, nil)
}

// remove removes the products, and with the last one the sale.
func (p *salePlayer) remove(ctx context.Context) error {
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.cleanupLimit)
	defer cancel()
	var failed error
	for _, sku := range p.copies {
		failed = errors.Join(failed, p.operator.removeProduct(limited, sku))
	}
	return failed
}

// judgeItem judges what came of one product.
func (p *salePlayer) judgeItem(ctx context.Context, n int, answers []answer, released time.Time) SaleItemReport {
	var own []answer
	for i := n; i < len(answers); i += len(p.copies) {
		own = append(own, answers[i])
	}
	item := p.player
	item.Case = Case{Buyers: len(own), Stock: p.stock[n], QuantityMin: p.QuantityMin, QuantityMax: p.QuantityMax}
	seen := item.verify(ctx, p.copies[n], own)
	if p.plan.PurchaseLimit != nil {
		seen.limit = *p.plan.PurchaseLimit
	}
	return saleItemReport(p.plan.Items[n].SKU, item.report(p.copies[n], seen), judge(item.Case, seen), own, released)
}

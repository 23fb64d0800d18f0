package rehearsal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// SaleReport is what came of the rehearsal of a sale. It marshals to snake_case JSON, with "ok" for OK.
type SaleReport struct {
	StartedAt     time.Time        `json:"started_at"`
	FinishedAt    time.Time        `json:"finished_at"`
	SaleID        string           `json:"sale_id"`
	Name          string           `json:"name"`
	Buyers        int              `json:"buyers"`
	Mode          Mode             `json:"mode"`
	Rate          float64          `json:"rate"` // requests per second; 0: all at once
	Kept          bool             `json:"kept"` // the copies were left
	HoldSeconds   int              `json:"hold_seconds"`
	PlannedHold   int              `json:"planned_hold_seconds"` // shorter where a minute was played
	PurchaseLimit *int             `json:"purchase_limit"`
	Latency       *Latency         `json:"latency_ms"` // of all items
	AuditOK       bool             `json:"audit_ok"`
	Items         []SaleItemReport `json:"items"`
	Broken        []string         `json:"broken"` // what is broken besides the promises of each item
	Course        *Course          `json:"-"`      // of all items

	crowd   Case // all buyers before all units
	servers int
	accept  *Latency // to the 202, of those who were queued; nil: nobody was
}

// SaleItemReport is what came of one product of the sale. Requests add up: Buyers = Held + all Refused + Faults.
type SaleItemReport struct {
	SKU            string         `json:"sku"`
	CopySKU        string         `json:"copy_sku"`
	Buyers         int            `json:"buyers"`
	Stock          int            `json:"stock"` // units
	Sent           int            `json:"sent"`
	Held           int            `json:"held"`       // requests that got their units
	UnitsHeld      int            `json:"units_held"` // which are the units that the sale would sell
	UnitsLeft      int            `json:"units_left"`
	Refused        map[string]int `json:"refused"` // by problem code
	Faults         int            `json:"faults"`
	SoldOutSeconds *float64       `json:"sold_out_seconds"` // after the opening, when the last unit was held; null: some are left, or there were none
	Latency        *Latency       `json:"latency_ms"`
	AuditOK        bool           `json:"audit_ok"`
	Broken         []string       `json:"broken"` // each broken promise, a sentence
}

func (p *salePlayer) newReport(started time.Time) *SaleReport {
	o := p.options
	return &SaleReport{
		crowd: p.Case, servers: len(p.servers),
		StartedAt: started, SaleID: p.plan.ID, Name: p.plan.Name, Buyers: p.Buyers, Mode: o.Mode, Rate: o.Rate, Kept: o.Keep,
		HoldSeconds: p.hold(), PlannedHold: p.plan.HoldSeconds, PurchaseLimit: p.plan.PurchaseLimit, AuditOK: true, Broken: []string{},
	}
}

func (r *SaleReport) add(item SaleItemReport) {
	r.Items = append(r.Items, item)
	r.AuditOK = r.AuditOK && item.AuditOK
}

func saleItemReport(sku string, c *CaseReport, broken []string, answers []answer, released time.Time) SaleItemReport {
	r := SaleItemReport{
		SKU: sku, CopySKU: c.SKU, Buyers: c.Buyers, Stock: c.Stock, Sent: c.Sent, Held: c.Held, UnitsHeld: c.UnitsHeld, UnitsLeft: c.UnitsLeft,
		Refused: c.Refused, Faults: c.Faults, Latency: c.Latency, AuditOK: c.AuditOK, Broken: append([]string{}, broken...),
	}
	if r.Stock == 0 || r.UnitsHeld < r.Stock {
		return r
	}
	var last time.Duration
	for _, a := range answers {
		if a.held != nil {
			last = max(last, a.answeredAt.Sub(released))
		}
	}
	seconds := float64(last.Milliseconds()) / 1000
	r.SoldOutSeconds = &seconds
	return r
}

// OK says that no promise was broken.
func (r *SaleReport) OK() bool {
	return r != nil && len(r.Items) > 0 && len(r.Broken) == 0 && !slices.ContainsFunc(r.Items, func(i SaleItemReport) bool { return len(i.Broken) > 0 })
}

// MarshalJSON adds "ok" to the fields.
func (r *SaleReport) MarshalJSON() ([]byte, error) {
	type fields SaleReport
	return json.Marshal(struct {
		OK bool `json:"ok"`
		*fields
	}{r.OK(), (*fields)(r)})
}

// WriteTable writes the report for people: a line per item, then the verdict in words; colours as in Report.WriteTable.
func (r *SaleReport) WriteTable(w io.Writer, plain bool) error {
	ink := ink(isTerminal(w) && !plain)
	var b bytes.Buffer
	fmt.Fprintln(&b, ink.bold(r.heading()))
	fmt.Fprintln(&b)
	r.table(ink).write(&b, ink)
	fmt.Fprintln(&b)
	if r.HoldSeconds != r.PlannedHold {
		writeWrapped(&b, "  ", fmt.Sprintf("Holds of %d s were played instead of %d s: what lapses while the answers are checked would show nothing.", r.HoldSeconds, r.PlannedHold))
		fmt.Fprintln(&b)
	}
	for _, item := range r.Items {
		for _, sentence := range item.Broken {
			writeWrapped(&b, "  - ", item.SKU+": "+sentence)
		}
	}
	for _, sentence := range r.Broken {
		writeWrapped(&b, "  - ", sentence)
	}
	if r.Kept {
		for _, item := range r.Items {
			fmt.Fprintf(&b, "  %s was kept as %s\n", item.SKU, item.CopySKU)
		}
	}
	if r.OK() {
		fmt.Fprintln(&b, ink.green("OK: "+r.summary()))
	} else {
		fmt.Fprintln(&b, ink.red("BROKEN: "+r.summary()))
	}
	_, err := w.Write(b.Bytes())
	return err
}

func (r *SaleReport) heading() string {
	how := "all at once"
	if r.Rate > 0 {
		how = strconv.FormatFloat(r.Rate, 'f', -1, 64) + " requests a second"
	}
	return fmt.Sprintf("%s: %s, %s, %s", r.Name, plural(r.Buyers, "buyer"), how, r.Mode)
}

func (r *SaleReport) table(ink ink) table {
	codes := map[string]bool{}
	for _, item := range r.Items {
		for code := range item.Refused {
			codes[code] = true
		}
	}
	reasons := slices.Sorted(maps.Keys(codes))
	header := []string{"item", "buyers", "stock", "held"}
	for _, reason := range reasons {
		header = append(header, strings.TrimSuffix(reason, "-units"))
	}
	t := table{append(header, "faults", "sold out s", "p50 ms", "p95 ms", "p99 ms", "left", "audit")}
	for _, item := range r.Items {
		row := []string{item.SKU, strconv.Itoa(item.Buyers), strconv.Itoa(item.Stock), strconv.Itoa(item.UnitsHeld)}
		for _, reason := range reasons {
			row = append(row, strconv.Itoa(item.Refused[reason]))
		}
		soldOut := "-"
		if item.SoldOutSeconds != nil {
			soldOut = strconv.FormatFloat(*item.SoldOutSeconds, 'f', 2, 64)
		}
		row = append(row, ink.alarm(item.Faults), soldOut)
		row = append(row, item.Latency.cells()...)
		audit := ink.green("ok")
		if !item.AuditOK {
			audit = ink.red("FAIL")
		}
		t = append(t, append(row, strconv.Itoa(item.UnitsLeft), audit))
	}
	return t
}

// summary is the verdict in one line.
func (r *SaleReport) summary() string {
	units, stock, soldOut, refused, broken := 0, 0, 0, 0, len(r.Broken)
	for _, item := range r.Items {
		units += item.UnitsHeld
		stock += item.Stock
		refused += total(item.Refused)
		broken += len(item.Broken)
		if item.SoldOutSeconds != nil {
			soldOut++
		}
	}
	text := fmt.Sprintf("%d of %s held, %d of %s gone, %d refused", units, plural(stock, "unit"), soldOut, plural(len(r.Items), "item"), refused)
	if broken > 0 {
		return text + ", " + plural(broken, "promise") + " broken"
	}
	return text + " truthfully"
}

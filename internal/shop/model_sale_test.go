package shop_test

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"

	"github.com/lastunit/lastunit/internal/shop"
)

func (m *model) put(rt *rapid.T, p *mProduct, selling bool, price *shop.Money) {
	got, _, err := m.PutProduct(background, shop.Product{SKU: p.sku, Selling: selling, Price: price})
	m.answered(rt, "product", err, nil)
	p.selling, p.price = selling, price
	if got.SKU != p.sku || got.Selling != selling || !alike(got.Price, price) {
		rt.Fatalf("put %+v", got)
	}
}

func (m *model) putBadPrice(rt *rapid.T, p *mProduct) {
	_, _, err := m.PutProduct(background, shop.Product{SKU: p.sku, Price: &shop.Money{Amount: -1, Currency: "EUR"}})
	m.answered(rt, "product", err, refuse(shop.Validation))
}

func (m *model) change(rt *rapid.T) {
	p := m.drawProduct(rt)
	price := p.price
	switch rapid.IntRange(0, 5).Draw(rt, "what") {
	case 0:
		m.putBadPrice(rt, p)
		return
	case 1, 2:
		if price != nil {
			price = &shop.Money{Amount: int64(rapid.IntRange(1, 50).Draw(rt, "price")), Currency: price.Currency}
		}
	}
	m.put(rt, p, rapid.IntRange(0, 3).Draw(rt, "off sale") > 0, price)
}

func (m *model) stockIn(rt *rapid.T) {
	p := m.drawProduct(rt)
	sku := drawOf(rt, "sku", p.sku, p.sku, p.sku, p.sku, "unknown")
	if rapid.IntRange(0, 3).Draw(rt, "with serials") == 0 {
		serials := []string{fmt.Sprint("S", rapid.IntRange(1, 4).Draw(rt, "serial"))}
		m.receive(rt, sku, 0, serials, "r", drawKey(rt))
		return
	}
	m.receive(rt, sku, rapid.IntRange(0, 3).Draw(rt, "quantity"), nil, drawOf(rt, "reference", "r", "r", "s"), drawKey(rt))
}

func (m *model) receive(rt *rapid.T, sku string, n int, serials []string, reference, key string) {
	got, replayed, err := m.Receive(background, shop.ReceiptRequest{SKU: sku, Quantity: n, Serials: serials, Reference: reference, KeyID: m.op, Key: key})
	p := m.productOf(sku)
	request := fmt.Sprint(sku, n, serials, reference)
	made, is, no := m.bound("receive", "", key, request)
	switch {
	case (n == 0) == (len(serials) == 0):
		no = refuse(shop.Validation)
	case p == nil:
		no = refuse(shop.NotFound)
	case no != nil || is:
	case slices.ContainsFunc(serials, func(s string) bool { return p.serials[s] }):
		no = conflicts("received")
	}
	if m.answered(rt, "receive", err, no) {
		return
	}
	n = max(n, len(serials))
	if replayed != is || is && got.ID != made || got.Quantity != n || got.SKU != sku || got.Reference != reference {
		rt.Fatalf("received %+v, %v", got, replayed)
	}
	if is {
		return
	}
	m.bind("receive", "", key, request, got.ID)
	for _, s := range serials {
		p.serials[s] = true
	}
	p.received += n
	p.pools[0] += n
	m.is("unit received -> available")
}

func (m *model) stockOut(rt *rapid.T) {
	p := m.drawProduct(rt)
	place := drawOf(rt, "place", shop.InStock, shop.InStock, shop.InQuarantine)
	n := rapid.IntRange(0, 2).Draw(rt, "quantity")
	if rapid.IntRange(0, 3).Draw(rt, "all") == 0 {
		n = p.pools[0]
	}
	m.withdraw(rt, drawOf(rt, "sku", p.sku, p.sku, p.sku, p.sku, "unknown"), n, place, drawKey(rt))
}

func (m *model) withdraw(rt *rapid.T, sku string, n int, place shop.Place, key string) {
	got, replayed, err := m.Withdraw(background, shop.WithdrawalRequest{SKU: sku, Quantity: n, Reason: "r", Place: place, KeyID: m.op, Key: key})
	p := m.productOf(sku)
	request := fmt.Sprint(sku, n, place)
	made, is, no := m.bound("withdraw", "", key, request)
	there := func() int {
		if place == shop.InQuarantine {
			return len(p.quarantine)
		}
		return p.pools[0]
	}
	switch {
	case n < 1:
		no = refuse(shop.Validation)
	case p == nil:
		no = refuse(shop.NotFound)
	case no != nil || is:
	case there() < n:
		no = notEnough(there())
	}
	if m.answered(rt, "withdraw", err, no) {
		return
	}
	if replayed != is || is && got.ID != made || got.Quantity != n || got.SKU != sku || got.Place != place {
		rt.Fatalf("withdrawn %+v, %v", got, replayed)
	}
	if is {
		return
	}
	m.bind("withdraw", "", key, request, got.ID)
	p.withdrawn += n
	m.is("unit %s -> withdrawn", place)
	if place == shop.InStock {
		p.pools[0] -= n
		return
	}
	// Which of them is not said.
	p.quarantine = slices.DeleteFunc(p.quarantine, func(id shop.ID) bool {
		unit, err := m.Unit(background, id)
		if err != nil {
			rt.Fatal(err)
		}
		if unit.Place == shop.OutOfTheStock {
			m.where[id] = shop.OutOfTheStock
			n--
		}
		return unit.Place == shop.OutOfTheStock
	})
	if n != 0 {
		rt.Fatalf("%d units too few were withdrawn from quarantine", n)
	}
}

func (m *model) unquarantine(rt *rapid.T) {
	p := m.drawProduct(rt)
	if len(p.quarantine) > 0 && rapid.Bool().Draw(rt, "named") {
		ids := []shop.ID{drawOf(rt, "unit", p.quarantine...)}
		if rapid.IntRange(0, 3).Draw(rt, "another") == 0 {
			ids = append(ids, m.op)
		}
		m.letOut(rt, p.sku, 0, ids, drawKey(rt))
		return
	}
	m.letOut(rt, drawOf(rt, "sku", p.sku, p.sku, p.sku, "unknown"), rapid.IntRange(0, 2).Draw(rt, "quantity"), nil, drawKey(rt))
}

func (m *model) letOut(rt *rapid.T, sku string, n int, ids []shop.ID, key string) {
	released, replayed, err := m.QuarantineRelease(background, m.operator(key), sku, n, ids)
	p := m.productOf(sku)
	request := fmt.Sprint(sku, n, ids)
	_, is, no := m.bound("unquarantine", "", key, request)
	switch {
	case (n == 0) == (len(ids) == 0):
		no = refuse(shop.Validation)
	case no != nil || is:
	case p == nil:
		no = refuse(shop.NotFound)
	case slices.ContainsFunc(ids, func(id shop.ID) bool { return !slices.Contains(p.quarantine, id) }):
		no = conflicts("not in quarantine")
	case len(ids) == 0 && len(p.quarantine) < n:
		no = notEnough(len(p.quarantine))
	}
	if m.answered(rt, "unquarantine", err, no) {
		return
	}
	if replayed != is || !is && len(released) != max(n, len(ids)) {
		rt.Fatalf("released %v, %v", released, replayed)
	}
	if is {
		return
	}
	m.bind("unquarantine", "", key, request, nil)
	for _, id := range released {
		at := slices.Index(p.quarantine, id)
		if at < 0 || len(ids) > 0 && !slices.Contains(ids, id) {
			rt.Fatalf("%s was let out, of %v", id, p.quarantine)
		}
		p.quarantine = slices.Delete(p.quarantine, at, at+1)
		delete(m.where, id)
		p.pools[0]++
		m.is("unit quarantine -> available")
	}
}

// plan makes a sale of one or two products.
func (m *model) plan(rt *rapid.T) {
	if len(m.sales) > 3 {
		return
	}
	t := shop.SaleTerms{
		Name: "sale", OpensAt: m.now.Add(time.Duration(rapid.IntRange(-1, 2).Draw(rt, "opens")) * 30 * time.Second), MaxQuantity: rapid.IntRange(2, 6).Draw(rt, "most"),
		Hold: time.Duration(drawOf(rt, "hold", 20, 40, 90)) * time.Second, CooldownSeconds: drawOf(rt, "cool-down", 0, 0, 45),
	}
	t.ClosesAt = t.OpensAt.Add(time.Duration(rapid.IntRange(0, 5).Draw(rt, "length")) * 40 * time.Second)
	if n := rapid.IntRange(0, 4).Draw(rt, "limit"); n > 0 {
		t.PurchaseLimit = &n
	}
	p := m.drawProduct(rt)
	for _, of := range m.products {
		if of != p && rapid.IntRange(0, 3).Draw(rt, "also") > 0 {
			continue
		}
		item := shop.SaleItem{SKU: of.sku, Price: shop.Money{Amount: int64(rapid.IntRange(60, 99).Draw(rt, "price")), Currency: "EUR"}}
		if n := rapid.IntRange(-2, 3).Draw(rt, "allotment"); n > 0 {
			item.Quantity = &n
		}
		t.Items = append(t.Items, item)
	}
	if rapid.IntRange(0, 9).Draw(rt, "of what is not there") == 0 {
		t.Items = append(t.Items, shop.SaleItem{SKU: "unknown", Price: shop.Money{Currency: "EUR"}})
	}
	if s := m.createSale(rt, t, drawKey(rt)); s != nil && rapid.Bool().Draw(rt, "at once") {
		m.moveSale(rt, s, shop.ScheduleSale, "")
	}
}

func (m *model) createSale(rt *rapid.T, t shop.SaleTerms, key string) *mSale {
	got, replayed, err := m.CreateSale(background, m.operator(key), t)
	request := termsText(t)
	made, is, no := m.bound("sale", "", key, request)
	switch {
	case !t.OpensAt.Before(t.ClosesAt):
		no = refuse(shop.Validation)
	case no != nil || is:
	case slices.ContainsFunc(t.Items, func(i shop.SaleItem) bool { return m.productOf(i.SKU) == nil }):
		no = refuse(shop.NotFound)
	}
	if m.answered(rt, "plan", err, no) {
		return nil
	}
	if replayed != is {
		rt.Fatalf("replayed: %v, want %v", replayed, is)
	}
	if is {
		s := made.(*mSale)
		m.sameSale(rt, s, got)
		return s
	}
	s := &mSale{Sale: shop.Sale{ID: got.ID, SaleTerms: t}, pool: len(m.sales) + 1, was: shop.SaleIsDraft}
	s.Items = slices.Clone(t.Items)
	m.sales = append(m.sales, s)
	m.bind("sale", "", key, request, s)
	m.sameSale(rt, s, got)
	return s
}

// termsText is for comparing terms of sales.
func termsText(t shop.SaleTerms) string {
	var text strings.Builder
	fmt.Fprint(&text, t.Name, t.OpensAt.UTC(), t.ClosesAt.UTC(), t.Hold, t.MaxQuantity, t.CooldownSeconds)
	if t.PurchaseLimit != nil {
		fmt.Fprint(&text, " limit ", *t.PurchaseLimit)
	}
	items := slices.Clone(t.Items)
	slices.SortFunc(items, func(a, b shop.SaleItem) int { return strings.Compare(a.SKU, b.SKU) })
	for _, item := range items {
		fmt.Fprint(&text, " ", item.SKU, item.Price)
		if item.Quantity != nil {
			fmt.Fprint(&text, " of ", *item.Quantity)
		}
	}
	return text.String()
}

func (m *model) sameSale(rt *rapid.T, s *mSale, got shop.Sale) {
	rt.Helper()
	if got.ID != s.ID || got.State != m.state(s) || termsText(got.SaleTerms) != termsText(s.SaleTerms) {
		rt.Fatalf("the shop shows the sale %s %s, want %s %s", got.State, termsText(got.SaleTerms), m.state(s), termsText(s.SaleTerms))
	}
}

func (m *model) saleCommand(rt *rapid.T) {
	if len(m.sales) == 0 {
		m.plan(rt)
		return
	}
	s := drawOf(rt, "sale", m.sales...)
	action := drawOf(rt, "action", shop.SaleActions()...)
	if usual := map[shop.SaleState]shop.SaleAction{
		shop.SaleIsDraft: shop.ScheduleSale, shop.SaleIsScheduled: shop.OpenSale, shop.SaleIsPaused: shop.ResumeSale,
	}[m.state(s)]; usual != "" && rapid.Bool().Draw(rt, "usual") {
		action = usual
	}
	m.moveSale(rt, s, action, drawKey(rt))
}

func (m *model) moveSale(rt *rapid.T, s *mSale, action shop.SaleAction, key string) {
	got, replayed, err := m.MoveSale(background, m.operator(key), s.ID, action)
	_, is, no := m.bound("sale "+string(action), "", key, s.ID.String())
	state := m.state(s)
	target := map[shop.SaleAction]shop.SaleState{
		shop.ScheduleSale: shop.SaleIsScheduled, shop.OpenSale: shop.SaleIsOpen, shop.PauseSale: shop.SaleIsPaused, shop.ResumeSale: shop.SaleIsOpen, shop.CloseSale: shop.SaleIsClosed,
	}[action]
	from := map[shop.SaleAction][]shop.SaleState{
		shop.ScheduleSale: {shop.SaleIsDraft}, shop.OpenSale: {shop.SaleIsScheduled}, shop.PauseSale: {shop.SaleIsOpen}, shop.ResumeSale: {shop.SaleIsPaused},
		shop.CloseSale: {shop.SaleIsScheduled, shop.SaleIsOpen, shop.SaleIsPaused},
	}[action]
	does := no == nil && !is && state != target
	if does {
		switch {
		case !slices.Contains(from, state), action == shop.ScheduleSale && !s.ClosesAt.After(m.now):
			no = conflicts(string(state))
		case action == shop.ScheduleSale && m.overlaps(s, s.OpensAt, s.ClosesAt), action == shop.OpenSale && m.overlaps(s, m.now, s.ClosesAt):
			no = refuse(shop.SaleOverlaps)
		case action == shop.ScheduleSale:
			for _, item := range s.Items {
				if n := m.productOf(item.SKU).pools[0]; no == nil && item.Quantity != nil && n < *item.Quantity {
					no = notEnough(n)
				}
			}
		}
	}
	if m.answered(rt, string(action), err, no) {
		return
	}
	if replayed != is {
		rt.Fatalf("replayed: %v, want %v", replayed, is)
	}
	m.bind("sale "+string(action), "", key, s.ID.String(), nil)
	if does {
		switch action {
		case shop.ScheduleSale:
			s.scheduled = true
			for _, item := range s.Items {
				if p := m.productOf(item.SKU); item.Quantity != nil {
					p.pools[0] -= *item.Quantity
					p.pools[s.pool] += *item.Quantity
					m.is("unit of the common pool -> allotment")
				}
			}
		case shop.OpenSale:
			s.OpensAt = m.now
		case shop.PauseSale, shop.ResumeSale:
			s.paused = action == shop.PauseSale
		case shop.CloseSale:
			s.ClosesAt = m.now
			if s.OpensAt.After(m.now) {
				s.OpensAt = m.now
			}
		}
		s.was = m.state(s)
		m.is("sale %s: %s -> %s", action, state, s.was)
		m.pass()
	}
	m.sameSale(rt, s, got)
}

// overlaps tells whether another sale that was scheduled has a product of this one at the same time.
func (m *model) overlaps(s *mSale, opens, closes time.Time) bool {
	return slices.ContainsFunc(m.sales, func(other *mSale) bool {
		common := slices.ContainsFunc(s.Items, func(i shop.SaleItem) bool { return other.item(m.productOf(i.SKU)) != nil })
		return other != s && common && other.scheduled && m.state(other) != shop.SaleIsClosed && other.OpensAt.Before(closes) && other.ClosesAt.After(opens)
	})
}

// changeSale changes prices, the length of holds, the limit and the end.
func (m *model) changeSale(rt *rapid.T) {
	if len(m.sales) == 0 {
		return
	}
	s := drawOf(rt, "sale", m.sales...)
	var patch shop.SalePatch
	is := s.SaleTerms
	is.Items = slices.Clone(s.Items)
	switch drawOf(rt, "what", "hold", "limit", "price", "end", "opening", "allotment") {
	case "hold":
		is.Hold = time.Duration(drawOf(rt, "hold", 0, 15, 50)) * time.Second
		patch.Hold = &is.Hold
	case "limit":
		n := rapid.IntRange(1, 5).Draw(rt, "limit")
		is.PurchaseLimit = &n
		if rapid.IntRange(0, 3).Draw(rt, "none") == 0 {
			is.PurchaseLimit = nil
		}
		patch.PurchaseLimit = &is.PurchaseLimit
	case "price":
		is.Items[0].Price.Amount = int64(rapid.IntRange(60, 99).Draw(rt, "price"))
		patch.Items = is.Items
	case "end":
		is.ClosesAt = m.now.Add(time.Duration(rapid.IntRange(-1, 4).Draw(rt, "end")) * 30 * time.Second)
		patch.ClosesAt = &is.ClosesAt
	case "opening":
		is.OpensAt = is.OpensAt.Add(time.Second)
		patch.OpensAt = &is.OpensAt
	case "allotment":
		n := 2
		is.Items[0].Quantity = &n
		patch.Items = is.Items
	}
	m.patchSale(rt, s, patch, is)
}

func (m *model) patchSale(rt *rapid.T, s *mSale, patch shop.SalePatch, is shop.SaleTerms) {
	got, _, err := m.ChangeSale(background, m.operator(""), s.ID, patch)
	state := m.state(s)
	running := state == shop.SaleIsOpen || state == shop.SaleIsPaused
	sameAllotment := alike(is.Items[0].Quantity, s.Items[0].Quantity)
	var no *shop.Refusal
	switch {
	case state == shop.SaleIsClosed:
		no = conflicts("closed")
	case !is.OpensAt.Before(is.ClosesAt), is.Hold < time.Second:
		no = refuse(shop.Validation)
	case state == shop.SaleIsDraft:
	case !sameAllotment:
		no = conflicts(string(state))
	case running && !is.OpensAt.Equal(s.OpensAt):
		no = conflicts(string(state))
	case running && is.PurchaseLimit != nil && (s.PurchaseLimit == nil || *is.PurchaseLimit < *s.PurchaseLimit):
		no = conflicts(string(state))
	case !is.ClosesAt.After(m.now):
		no = refuse(shop.Validation)
	case (!is.OpensAt.Equal(s.OpensAt) || !is.ClosesAt.Equal(s.ClosesAt)) && m.overlaps(s, is.OpensAt, is.ClosesAt):
		no = refuse(shop.SaleOverlaps)
	}
	if m.answered(rt, "change", err, no) {
		return
	}
	s.SaleTerms = is
	m.sameSale(rt, s, got)
}

func (m *model) pauseAll(rt *rapid.T) { m.pauseSelling(rt, !m.paused) }

func (m *model) pauseSelling(rt *rapid.T, pause bool) {
	got, _, err := m.PauseSelling(background, m.operator(""), pause)
	m.answered(rt, "selling", err, nil)
	if m.paused != pause {
		m.is("selling paused: %v -> %v", m.paused, pause)
	}
	if m.paused = pause; (got.PausedAt != nil) != pause {
		rt.Fatalf("selling is %+v, want paused: %v", got, pause)
	}
}

// wait moves the clock, now and then to the very instant at which something happens, or the last one before it.
func (m *model) wait(rt *rapid.T) {
	by := time.Duration(rapid.IntRange(1, 60).Draw(rt, "seconds")) * time.Second
	var instants []time.Time
	for _, c := range m.claims {
		if c.status == shop.Held {
			instants = append(instants, c.expires)
		}
	}
	for _, o := range m.orders {
		if o.status == shop.AwaitingPayment {
			instants = append(instants, *o.payBy)
		}
	}
	for _, s := range m.sales {
		instants = append(instants, s.OpensAt, s.ClosesAt)
	}
	for _, until := range m.cool {
		instants = append(instants, until)
	}
	instants = slices.DeleteFunc(instants, func(at time.Time) bool { return !at.After(m.now) })
	slices.SortFunc(instants, time.Time.Compare)
	if len(instants) > 0 {
		at := drawOf(rt, "instant", instants...)
		switch rapid.IntRange(0, 4).Draw(rt, "to") {
		case 0, 1:
			by = at.Sub(m.now)
		case 2:
			by = max(at.Sub(m.now)-time.Microsecond, 0)
		}
	}
	m.move(rt, by)
}

// move moves the clock. The units of a sale that is over are put back at once, as the shop's loop does: claims that are short of units wait for it.
func (m *model) move(rt *rapid.T, by time.Duration) {
	m.now = m.now.Add(by)
	m.moveTo(m.now)
	m.pass()
	if err := m.TendSales(background); err != nil {
		rt.Fatal(err)
	}
}

// sweep does the housekeeping, which nobody may notice.
func (m *model) sweep(rt *rapid.T) {
	for _, do := range []func() error{
		func() error { return m.ExpireLapsed(background) },
		func() error { return m.CancelOverdue(background) },
		func() error { return m.TendSales(background) },
		func() error { return m.SettleQueues(background) },
	} {
		if err := do(); err != nil {
			rt.Fatal(err)
		}
	}
	if left := m.count(`SELECT count(*) FROM claim WHERE status = 'held' AND expires_at <= $1`, m.now); left > 0 {
		rt.Fatalf("the sweep left %d lapsed holds", left)
	}
}

func (m *model) compareStock(rt *rapid.T) {
	for _, p := range m.products {
		want := shop.Stock{Received: int64(p.received), Quarantine: int64(len(p.quarantine)), Withdrawn: int64(p.withdrawn)}
		for _, n := range p.pools {
			want.Available += int64(n)
		}
		for _, c := range m.claims {
			switch n := int64(c.quantity - len(c.returned)); {
			case c.p != p:
			case c.status == shop.Held:
				want.Held += n
			case c.unpaid():
				want.Ordered += n
			case c.status == shop.Ordered:
				want.Sold += n
			}
		}
		if sum := want.Available + want.Held + want.Ordered + want.Sold + want.Quarantine + want.Withdrawn; sum != want.Received {
			rt.Fatalf("the model of %s does not add up: %+v", p.sku, want)
		}
		if got, err := m.Stock(background, p.sku); err != nil || got != want {
			rt.Fatalf("%s: the shop counts %+v, %v; the model %+v", p.sku, got, err, want)
		}
	}
}

// look compares what buyers see of a product.
func (m *model) look(rt *rapid.T) {
	for _, p := range m.products {
		got, err := m.Product(background, p.sku)
		if err != nil {
			rt.Fatal(err)
		}
		want := shop.Availability{Status: shop.IsSoldOut, Available: int64(p.pools[0])}
		var current *mSale
		keptFor := false
		for _, s := range m.sales {
			if s.item(p) == nil {
				continue
			}
			switch m.state(s) {
			case shop.SaleIsOpen, shop.SaleIsPaused:
				current = s
			case shop.SaleIsScheduled:
				keptFor = keptFor || s.item(p).Quantity == nil
			}
		}
		if current != nil {
			want.Available += int64(p.pools[current.pool])
		}
		switch {
		case want.Available > 0:
			want.Status = shop.IsAvailable
		case m.mayReturn(p):
			want.Status, want.NextReleaseAt = shop.IsAllHeld, m.next(p, func(int) bool { return true })
		}
		switch {
		case !p.selling:
			want.Status, want.NextReleaseAt = shop.IsNotSelling, nil
		case m.paused || current != nil && m.state(current) == shop.SaleIsPaused:
			want.Status = shop.IsOnPause
		case current == nil && keptFor:
			want.Status = shop.IsNotOpen
		}
		m.is("product %s", want.Status)
		if a := got.Availability; a.Status != want.Status || a.Available != want.Available || !sameTime(a.NextReleaseAt, want.NextReleaseAt) {
			rt.Fatalf("%s shows as %+v, want %+v", p.sku, a, want)
		}
		if current != nil && (got.Sale == nil || got.Sale.ID != current.ID || got.Sale.Price != current.item(p).Price) {
			rt.Fatalf("%s shows the sale %+v, want %s", p.sku, got.Sale, current.ID)
		}
	}
}

func (m *model) compareAll(rt *rapid.T) {
	m.look(rt)
	for _, c := range m.claims {
		got, err := m.Transaction(background, c.buyer, c.id)
		m.answered(rt, "transaction", err, nil)
		m.sameClaim(rt, c, got)
	}
	for _, o := range m.orders {
		got, err := m.Order(background, &o.buyer, o.id)
		m.answered(rt, "order", err, nil)
		m.sameOrder(rt, o, got)
	}
	for _, s := range m.sales {
		got, err := m.Sale(background, s.ID, true)
		m.answered(rt, "sale", err, nil)
		m.sameSale(rt, s, got)
		if _, err = m.Sale(background, s.ID, false); m.state(s) == shop.SaleIsDraft {
			m.answered(rt, "sale", err, refuse(shop.NotFound))
		}
	}
}

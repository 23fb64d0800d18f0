package shop_test

import (
	"time"

	"pgregory.net/rapid"

	"github.com/lastunit/lastunit/internal/shop"
)

type modelCommand struct {
	weight int
	do     func(*model, *rapid.T)
}

// modelCommands are what a run draws from.
var modelCommands = map[string]modelCommand{
	"again":        {3, (*model).again},
	"cancel":       {3, (*model).cancel},
	"cart":         {1, (*model).cart},
	"change":       {1, (*model).change},
	"change sale":  {2, (*model).changeSale},
	"checkout":     {5, (*model).checkout},
	"claim":        {10, (*model).claim},
	"confirm":      {3, (*model).confirm},
	"extend":       {2, (*model).extend},
	"look":         {2, (*model).look},
	"move sale":    {5, (*model).saleCommand},
	"news":         {2, (*model).news},
	"pause":        {1, (*model).pauseAll},
	"pay":          {6, (*model).pay},
	"plan":         {2, (*model).plan},
	"queue":        {2, (*model).queue},
	"read":         {2, (*model).read},
	"read order":   {1, (*model).readOrder},
	"receive":      {3, (*model).stockIn},
	"refund":       {4, (*model).refund},
	"release":      {2, (*model).end},
	"sweep":        {1, (*model).sweep},
	"tend":         {2, (*model).tend},
	"unquarantine": {2, (*model).unquarantine},
	"wait":         {6, (*model).wait},
	"withdraw":     {2, (*model).stockOut},
}

// fresh makes sure that a product has units, is on sale and in no sale.
func (m *model) fresh(rt *rapid.T, units int) *mProduct {
	p := m.products[0]
	m.receive(rt, p.sku, units, nil, "script", "")
	return p
}

func (m *model) request(i int, p *mProduct, quantity int) shop.ClaimRequest {
	return shop.ClaimRequest{Buyer: m.buyer(i), SKU: p.sku, Quantity: quantity}
}

// ordersOne has a buyer order units.
func (m *model) ordersOne(rt *rapid.T, quantity int) *mOrder {
	p := m.fresh(rt, quantity+1)
	c := m.ask(rt, m.request(1, p, quantity), "claim")
	return m.order(rt, c.buyer, []shop.ID{c.id}, "", "")
}

// openSale opens a sale of a product.
func (m *model) openSale(rt *rapid.T, p *mProduct, limit, cooldown, allotment int) *mSale {
	t := shop.SaleTerms{
		Name: "script", OpensAt: m.now, ClosesAt: m.now.Add(10 * time.Minute), Hold: 20 * time.Second, MaxQuantity: 4, CooldownSeconds: cooldown,
		Items: []shop.SaleItem{{SKU: p.sku, Price: shop.Money{Amount: 50, Currency: "EUR"}}},
	}
	if limit > 0 {
		t.PurchaseLimit = &limit
	}
	if allotment > 0 {
		t.Items[0].Quantity = &allotment
	}
	s := m.createSale(rt, t, "")
	m.moveSale(rt, s, shop.ScheduleSale, "")
	return s
}

// goneWith has a payment come too late for an order, cancelled because the provider was away.
func (m *model) goneWith(rt *rapid.T, meanwhile func(p *mProduct)) {
	o := m.ordersOne(rt, 1)
	m.payWith(rt, o, o.buyer, "late:10m", "")
	m.move(rt, modelHold+5*time.Second)
	m.tendPaymentsNow(rt, true, false, false)
	meanwhile(m.products[0])
	m.newsOf(rt, o.pays[0], true)
}

// modelScripts begin some of the runs with what is rarely met by chance.
var modelScripts = map[string]func(*model, *rapid.T){
	"a cool-down": func(m *model, rt *rapid.T) {
		p := m.fresh(rt, 3)
		m.openSale(rt, p, 2, 45, drawOf(rt, "allotment", 0, 2))
		m.ask(rt, m.request(1, p, 1), "claim")
		m.move(rt, 20*time.Second)
		m.ask(rt, m.request(1, p, 1), drawOf(rt, "way", "claim", "enqueue", "accept"))
		m.move(rt, 45*time.Second)
		m.ask(rt, m.request(1, p, 1), "claim")
	},
	"a limit that is given back": func(m *model, rt *rapid.T) {
		p := m.fresh(rt, 6)
		m.openSale(rt, p, 2, 0, drawOf(rt, "allotment", 0, 3))
		c := m.ask(rt, m.request(1, p, 2), "claim")
		m.ask(rt, m.request(1, p, 1), drawOf(rt, "way", "claim", "accept"))
		switch drawOf(rt, "given back by", "expiry", "release", "cancel", "refund") {
		case "expiry":
			m.move(rt, 20*time.Second)
		case "release":
			m.release(rt, c, c.buyer)
		case "cancel":
			o := m.order(rt, c.buyer, []shop.ID{c.id}, "", "")
			m.ask(rt, m.request(1, p, 1), "claim")
			m.cancelOrder(rt, o, o.buyer, "", false, false)
		case "refund":
			o := m.order(rt, c.buyer, []shop.ID{c.id}, "", "")
			m.payWith(rt, o, o.buyer, "succeed", "")
			m.refundOf(rt, o, nil, shop.RestockAvailable, "")
		}
		m.ask(rt, m.request(1, p, 2), "claim")
	},
	"a crowded queue": func(m *model, rt *rapid.T) {
		p := m.fresh(rt, 4)
		m.queueUp(rt, p, "nothing", m.request(1, p, 4), m.request(2, p, 4), m.request(3, p, 4), m.request(4, p, 1))
		m.step(rt)
		m.queueUp(rt, p, "cancel", m.request(1, p, 1), m.request(1, p, 1), m.request(1, p, 1), m.request(1, p, 1))
	},
	"a queue for what is sold": func(m *model, rt *rapid.T) {
		p := m.fresh(rt, 2)
		m.queueUp(rt, p, "withdraw", m.request(1, p, 1), m.request(2, p, 2))
	},
	"a queue for what is held": func(m *model, rt *rapid.T) {
		p := m.fresh(rt, 2)
		m.withdraw(rt, p.sku, p.pools[0]-2, shop.InStock, "")
		m.queueUp(rt, p, "nothing", m.request(1, p, 1), m.request(2, p, 2), m.request(3, p, 1), m.request(3, p, 1))
	},
	"a queue for less than is asked for": func(m *model, rt *rapid.T) {
		p := m.fresh(rt, 2)
		m.withdraw(rt, p.sku, p.pools[0]-2, shop.InStock, "")
		m.queueUp(rt, p, "nothing", m.request(1, p, 3), m.request(2, p, 1))
	},
	"a queue for what goes off sale": func(m *model, rt *rapid.T) {
		p := m.fresh(rt, 2)
		m.queueUp(rt, p, "take off sale", m.request(1, p, 1))
		m.put(rt, p, true, p.price)
	},
	"a queue in a sale": func(m *model, rt *rapid.T) {
		p := m.fresh(rt, 4)
		s := m.openSale(rt, p, 2, drawOf(rt, "cool-down", 0, 30), drawOf(rt, "allotment", 0, 2))
		if s.CooldownSeconds > 0 {
			m.ask(rt, m.request(1, p, 1), "claim")
		}
		how := drawOf(rt, "meanwhile", "nothing", "pause sale", "close sale", "pause selling")
		m.queueUp(rt, p, how, m.request(1, p, 1), m.request(1, p, 2), m.request(1, p, 1), m.request(2, p, 1))
		m.step(rt)
		if how == "pause sale" {
			m.read(rt)
			m.move(rt, 20*time.Second)
			m.moveSale(rt, s, drawOf(rt, "then", shop.ResumeSale, shop.CloseSale), "")
		}
	},
	"a sale that the clock closes": func(m *model, rt *rapid.T) {
		p := m.fresh(rt, 3)
		t := shop.SaleTerms{
			Name: "script", OpensAt: m.now.Add(time.Minute), ClosesAt: m.now.Add(2 * time.Minute), Hold: 90 * time.Second, MaxQuantity: 4,
			Items: []shop.SaleItem{{SKU: p.sku, Price: shop.Money{Amount: 50, Currency: "EUR"}}},
		}
		if drawOf(rt, "allotted", true, false) {
			n := 2
			t.Items[0].Quantity = &n
		}
		s := m.createSale(rt, t, "")
		m.moveSale(rt, s, shop.ScheduleSale, "")
		r := m.request(1, p, 1)
		r.SaleID = &s.ID
		m.ask(rt, r, "claim")
		m.ask(rt, m.request(1, p, 1), "claim")
		m.move(rt, time.Minute)
		m.ask(rt, m.request(1, p, 1), "claim")
		if drawOf(rt, "paused", true, false) {
			m.moveSale(rt, s, shop.PauseSale, "")
			m.ask(rt, r, "enqueue")
		}
		m.move(rt, time.Minute)
		m.ask(rt, r, "claim")
		m.order(rt, m.buyer(1), nil, "", "")
	},
	"two sales at once": func(m *model, rt *rapid.T) {
		p := m.fresh(rt, 3)
		s := m.openSale(rt, p, 0, 0, 1)
		m.openSale(rt, p, 0, 0, 1)
		m.moveSale(rt, s, shop.CloseSale, "")
		m.openSale(rt, p, 0, 0, 20)
	},
	"money that comes too late": func(m *model, rt *rapid.T) {
		m.goneWith(rt, func(p *mProduct) {
			if drawOf(rt, "units", "there", "gone") == "gone" {
				m.withdraw(rt, p.sku, p.pools[0], shop.InStock, "")
			}
		})
	},
	"a payment that is called off": func(m *model, rt *rapid.T) {
		o := m.ordersOne(rt, 1)
		m.payWith(rt, o, o.buyer, drawOf(rt, "card", "hang", "late:10m"), "")
		m.payWith(rt, o, o.buyer, "succeed", "")
		m.cancelOrder(rt, o, o.buyer, "", true, false)
		switch drawOf(rt, "then", "cancel", "cancel, too late", "overdue", "overdue and taken", "asked") {
		case "cancel":
			m.cancelOrder(rt, o, o.buyer, "", false, false)
		case "cancel, too late":
			m.cancelOrder(rt, o, o.buyer, "", false, true)
		case "overdue":
			m.move(rt, modelHold)
			m.tendPaymentsNow(rt, false, false, false)
		case "overdue and taken":
			m.move(rt, modelHold)
			m.tendPaymentsNow(rt, false, true, false)
		case "asked":
			m.tendPaymentsNow(rt, false, true, true)
		}
	},
	"a hold that lapsed is confirmed": func(m *model, rt *rapid.T) {
		p := m.fresh(rt, 3)
		limit := drawOf(rt, "limit", -1, 0, 1)
		if limit >= 0 {
			m.openSale(rt, p, limit, drawOf(rt, "cool-down", 0, 30), drawOf(rt, "allotment", 0, 2))
		}
		c := m.ask(rt, m.request(1, p, 1), "claim")
		m.move(rt, modelHold)
		if drawOf(rt, "units", "there", "gone") == "gone" {
			m.withdraw(rt, p.sku, p.pools[0], shop.InStock, "")
		}
		ref := m.buyer(0)
		m.confirmed(rt, []shop.ID{c.id}, ref, "k1")
		m.confirmed(rt, []shop.ID{c.id}, ref, drawOf(rt, "key", "k1", "k2", ""))
		m.confirmed(rt, []shop.ID{c.id}, ref+"other", "k1")
		m.confirmed(rt, []shop.ID{c.id}, ref+"other", "")
	},
	"an order of nothing, of two currencies and without a price": func(m *model, rt *rapid.T) {
		m.order(rt, m.buyer(1), nil, "", "")
		for _, p := range m.products {
			m.receive(rt, p.sku, 1, nil, "script", "")
			m.ask(rt, m.request(1, p, 1), "claim")
		}
		var ids []shop.ID
		for _, c := range m.claims {
			ids = append(ids, c.id)
		}
		m.order(rt, m.buyer(1), ids[:2], "", "")
		m.confirmed(rt, ids[:2], m.buyer(0), "")
		m.order(rt, m.buyer(1), ids[2:], "", "")
		m.confirmed(rt, ids[2:], m.buyer(0), "")
		m.move(rt, modelHold)
		m.order(rt, m.buyer(1), ids[:1], "", "")
	},
	"units that come back": func(m *model, rt *rapid.T) {
		o := m.ordersOne(rt, 3)
		m.payWith(rt, o, o.buyer, "decline", "")
		m.payWith(rt, o, o.buyer, "twice", "")
		m.refundOf(rt, o, o.lines[0].units[:1:1], shop.RestockQuarantine, "k1")
		m.refundOf(rt, o, o.lines[0].units[:1:1], shop.RestockQuarantine, drawOf(rt, "key", "k1", "k2"))
		m.refundOf(rt, o, o.lines[0].units[1:2:2], shop.RestockWriteOff, "")
		m.refundOf(rt, o, nil, shop.RestockAvailable, "")
		o = m.ordersOne(rt, 2)
		m.payWith(rt, o, o.buyer, "succeed", "")
		m.refundOf(rt, o, nil, shop.RestockQuarantine, "")
		m.letOut(rt, o.lines[0].p.sku, 1, nil, "")
		m.withdraw(rt, o.lines[0].p.sku, 1, shop.InQuarantine, "")
	},
	"keys that are used again": func(m *model, rt *rapid.T) {
		p := m.fresh(rt, 3)
		r := m.request(1, p, 1)
		r.Key = "script"
		c := m.ask(rt, r, "claim")
		if m.keyed(r.Buyer, r.Key) == nil || c == nil {
			return // it was, by the same script
		}
		m.extendBy(rt, c, c.buyer, 1, "script")
		m.extendBy(rt, c, c.buyer, 1, "script")
		m.extendBy(rt, c, c.buyer, 2, "script")
		o := m.order(rt, c.buyer, []shop.ID{c.id}, "", "script")
		m.order(rt, c.buyer, []shop.ID{c.id}, "", "script")
		m.order(rt, c.buyer, []shop.ID{c.id}, "mine", "script")
		m.ask(rt, r, "claim")
		r.Quantity++
		m.ask(rt, r, "claim")
		m.payWith(rt, o, o.buyer, "gold", "")
		m.receive(rt, p.sku, 1, nil, "r", "script")
		m.receive(rt, p.sku, 2, nil, "r", "script")
		m.receive(rt, p.sku, 0, []string{"S9"}, "r", "")
		m.receive(rt, p.sku, 0, []string{"S9"}, "r", "")
		m.letOut(rt, "unknown", 1, nil, "")
		_, err := m.Transaction(background, "somebody else", c.id)
		m.answered(rt, "transaction", err, refuse(shop.NotFound))
		who := "somebody else"
		_, err = m.Order(background, &who, o.id)
		m.answered(rt, "order", err, refuse(shop.NotFound))
		for _, how := range []func(*mClaim){
			func(c *mClaim) { m.release(rt, c, c.buyer) },
			func(*mClaim) { m.move(rt, modelHold) },
		} {
			r := m.request(2, p, 1)
			r.Key = drawOf(rt, "key", "s1", "s2", "s3", "s4") + m.now.String()
			if c := m.ask(rt, r, "claim"); c != nil {
				how(c)
				m.ask(rt, r, "claim")
			}
		}
		m.put(rt, p, false, p.price)
		m.ask(rt, m.request(2, p, 1), "claim")
		m.put(rt, p, true, p.price)
		m.pauseSelling(rt, true)
		m.ask(rt, m.request(2, p, 1), "accept")
		m.pauseSelling(rt, false)
	},
	"the states of a sale": func(m *model, rt *rapid.T) {
		p := m.fresh(rt, 3)
		t := shop.SaleTerms{
			Name: "script", OpensAt: m.now, ClosesAt: m.now.Add(10 * time.Minute), Hold: 20 * time.Second, MaxQuantity: 4,
			Items: []shop.SaleItem{{SKU: p.sku, Price: shop.Money{Amount: 50, Currency: "EUR"}}},
		}
		s := m.createSale(rt, t, "")
		m.move(rt, time.Second)
		s.shown = shop.SaleIsDraft
		m.moveSale(rt, s, shop.ScheduleSale, "")
		m.moveSale(rt, s, shop.PauseSale, "")
		m.moveSale(rt, s, shop.CloseSale, "")
		for _, action := range []shop.SaleAction{shop.OpenSale, shop.CloseSale} {
			t.OpensAt, t.ClosesAt = m.now.Add(time.Minute), m.now.Add(2*time.Minute)
			s = m.createSale(rt, t, "")
			m.moveSale(rt, s, shop.ScheduleSale, "")
			m.ask(rt, m.request(1, p, 1), "claim")
			m.moveSale(rt, s, action, "")
			m.moveSale(rt, s, shop.CloseSale, "")
		}
	},
	"the last unit": func(m *model, rt *rapid.T) {
		p := m.products[0]
		if p.pools[0] > 0 {
			m.withdraw(rt, p.sku, p.pools[0], shop.InStock, "")
		}
		m.receive(rt, p.sku, 1, nil, "script", "")
		c := m.ask(rt, m.request(1, p, 1), "claim")
		m.ask(rt, m.request(2, p, 1), "claim")
		m.look(rt)
		o := m.order(rt, c.buyer, nil, "", "")
		m.ask(rt, m.request(2, p, 1), "claim")
		m.payWith(rt, o, o.buyer, "succeed", "")
		m.ask(rt, m.request(2, p, 1), drawOf(rt, "way", "claim", "accept"))
		m.look(rt)
	},
}

// modelTransitions are every state that anything can move to from another, and what else has to have been met.
var modelTransitions = []string{
	"transaction new -> queued", "transaction new -> held", "transaction new -> ordered", "transaction queued -> held", "transaction queued -> refused",
	"transaction queued -> released", "transaction held -> ordered", "transaction held -> released", "transaction held -> expired",
	"transaction replayed held", "transaction replayed expired", "transaction replayed released", "transaction replayed ordered", "transaction replayed refused",
	"order new -> awaiting_payment", "order new -> paid", "order awaiting_payment -> paid", "order awaiting_payment -> cancelled (payment-overdue)",
	"order awaiting_payment -> cancelled (cancelled-by-buyer)", "order cancelled without an answer", "order cancelled -> replaced", "order paid -> refunded",
	"order paid -> paid, refunded in part", "confirm replayed",
	"payment new -> pending", "payment new -> succeeded", "payment new -> failed", "payment pending -> succeeded", "payment pending -> failed",
	"payment succeeded -> refunded", "late payment -> refunded",
	"card succeed", "card twice", "card decline", "card late:10m", "card hang", "card gold",
	"sale schedule: draft -> scheduled", "sale open: scheduled -> open", "sale scheduled -> open", "sale pause: open -> paused",
	"sale resume: paused -> open", "sale close: scheduled -> closed", "sale close: open -> closed", "sale close: paused -> closed", "sale open -> closed", "sale paused -> closed",
	"selling paused: false -> true", "selling paused: true -> false",
	"unit received -> available", "unit available -> held", "unit available -> sold", "unit available -> withdrawn", "unit held -> available", "unit held -> ordered",
	"unit held -> sold", "unit ordered -> available", "unit ordered -> sold", "unit sold -> available", "unit sold -> quarantine", "unit sold -> withdrawn",
	"unit quarantine -> available", "unit quarantine -> withdrawn", "unit of the common pool -> allotment", "unit of an allotment -> common pool",
	"product available", "product all_held", "product sold_out", "product not_selling", "product paused", "product not_open",
}

// modelRefusals are the refusals of each call, and those of requests when their turn had come.
var modelRefusals = []string{
	"claim validation", "claim idempotency-key-reused", "claim not-found", "claim not-selling", "claim sale-not-open", "claim sale-paused", "claim sale-ended", "claim cool-down",
	"claim sold-out", "claim purchase-limit", "claim all-held", "claim not-enough-units",
	"accept sold-out", "accept purchase-limit", "accept cool-down", "accept busy", "accept too-many-requests", "accept not-found", "accept sale-paused",
	"turn sold-out", "turn all-held", "turn not-enough-units", "turn not-selling", "turn sale-ended", "turn purchase-limit",
	"transaction not-found", "release not-found", "release conflict",
	"extend validation", "extend not-found", "extend hold-expired", "extend conflict", "extend idempotency-key-reused",
	"checkout validation", "checkout not-found", "checkout idempotency-key-reused", "checkout cart-empty", "checkout conflict", "checkout hold-expired",
	"confirm validation", "confirm conflict", "confirm hold-expired", "confirm idempotency-key-reused",
	"order not-found", "pay validation", "pay not-found", "pay payment-failed", "pay conflict", "cancel order not-found", "cancel order conflict", "cancel order busy",
	"refund validation", "refund conflict", "news not-found", "signed news not-found",
	"product validation", "receive validation", "receive not-found", "receive conflict", "receive idempotency-key-reused",
	"withdraw validation", "withdraw not-found", "withdraw not-enough-units", "unquarantine validation", "unquarantine not-found", "unquarantine not-enough-units",
	"plan validation", "plan not-found", "schedule sale-overlaps", "schedule not-enough-units", "schedule conflict", "open conflict", "pause conflict", "resume conflict", "close conflict",
	"change validation", "change conflict", "sale not-found",
}

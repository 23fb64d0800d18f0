package shop_test

import (
	"fmt"
	"slices"
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

// fresh gives units to a product.
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

// newKey is one that no call has had.
func (m *model) newKey() string {
	m.given++
	return fmt.Sprint("script ", m.run, " ", m.given)
}

// terms are of a sale that opens now, with an allotment unless that is 0.
func (m *model) terms(p *mProduct, allotment int) shop.SaleTerms {
	t := shop.SaleTerms{
		Name: "script", OpensAt: m.now, ClosesAt: m.now.Add(10 * time.Minute), Hold: 20 * time.Second, MaxQuantity: 4,
		Items: []shop.SaleItem{{SKU: p.sku, Price: shop.Money{Amount: 50, Currency: "EUR"}}},
	}
	if allotment > 0 {
		t.Items[0].Quantity = &allotment
	}
	return t
}

// openSale opens a sale of a product, with a limit unless that is 0.
func (m *model) openSale(rt *rapid.T, p *mProduct, limit, cooldown, allotment int) *mSale {
	t := m.terms(p, allotment)
	t.CooldownSeconds = cooldown
	if limit > 0 {
		t.PurchaseLimit = &limit
	}
	s := m.createSale(rt, t, "")
	m.moveSale(rt, s, shop.ScheduleSale, "")
	return s
}

func (m *model) changeHold(rt *rapid.T, s *mSale, hold time.Duration) {
	is := s.SaleTerms
	is.Hold = hold
	m.patchSale(rt, s, shop.SalePatch{Hold: &hold}, is)
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

// modelScripts are what is rarely met by chance. Each is played by itself, and begins some of the runs.
var modelScripts = map[string]func(*model, *rapid.T){
	"a cool-down": func(m *model, rt *rapid.T) {
		p := m.fresh(rt, 3)
		m.openSale(rt, p, 2, 45, choose(m, rt, "allotment", 0, 2))
		m.ask(rt, m.request(1, p, 1), "claim")
		m.move(rt, 20*time.Second)
		m.ask(rt, m.request(1, p, 1), choose(m, rt, "way", "claim", "enqueue", "accept"))
		m.move(rt, 45*time.Second)
		m.ask(rt, m.request(1, p, 1), "claim")
	},
	"a limit that is given back": func(m *model, rt *rapid.T) {
		p := m.fresh(rt, 6)
		m.openSale(rt, p, 2, 0, choose(m, rt, "allotment", 0, 3))
		c := m.ask(rt, m.request(1, p, 2), "claim")
		m.ask(rt, m.request(1, p, 1), choose(m, rt, "way", "claim", "accept"))
		switch choose(m, rt, "given back by", "expiry", "release", "cancel", "refund") {
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
		last := m.request(3, p, 1)
		last.Key = m.newKey()
		m.queueUp(rt, p, "nothing", m.request(1, p, 1), m.request(2, p, 2), m.request(3, p, 1), last)
		m.ask(rt, last, choose(m, rt, "way", "claim", "enqueue"))
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
		s := m.openSale(rt, p, 2, choose(m, rt, "cool-down", 0, 30), choose(m, rt, "allotment", 0, 2))
		if s.CooldownSeconds > 0 {
			m.ask(rt, m.request(1, p, 1), "claim")
		}
		how := choose(m, rt, "meanwhile", "nothing", "pause sale", "close sale", "pause selling")
		m.queueUp(rt, p, how, m.request(1, p, 1), m.request(1, p, 2), m.request(1, p, 1), m.request(2, p, 1))
		m.step(rt)
		if how == "pause sale" {
			for _, c := range m.claims {
				m.readBy(rt, c, c.buyer)
			}
			m.move(rt, 20*time.Second)
			m.moveSale(rt, s, choose(m, rt, "then", shop.ResumeSale, shop.CloseSale), "")
		}
	},
	"a sale that the clock closes": func(m *model, rt *rapid.T) {
		p := m.fresh(rt, 3)
		t := shop.SaleTerms{
			Name: "script", OpensAt: m.now.Add(time.Minute), ClosesAt: m.now.Add(2 * time.Minute), Hold: 90 * time.Second, MaxQuantity: 4,
			Items: []shop.SaleItem{{SKU: p.sku, Price: shop.Money{Amount: 50, Currency: "EUR"}}},
		}
		if choose(m, rt, "allotted", true, false) {
			n := 2
			t.Items[0].Quantity = &n
		}
		s := m.createSale(rt, t, "")
		m.moveSale(rt, s, shop.ScheduleSale, "")
		m.look(rt)
		r := m.request(1, p, 1)
		r.SaleID = &s.ID
		m.ask(rt, r, "claim")
		m.ask(rt, m.request(1, p, 1), "claim")
		m.move(rt, time.Minute)
		m.ask(rt, m.request(1, p, 1), "claim")
		if choose(m, rt, "paused", true, false) {
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
			if choose(m, rt, "units", "there", "gone") == "gone" {
				m.withdraw(rt, p.sku, p.pools[0], shop.InStock, "")
			}
		})
	},
	"a payment that is called off": func(m *model, rt *rapid.T) {
		key := m.newKey()
		o := m.ordersOne(rt, 1)
		m.cancelOrder(rt, o, o.buyer, key, false, false)
		o = m.ordersOne(rt, 1)
		m.payWith(rt, o, o.buyer, choose(m, rt, "card", "hang", "late:10m"), "")
		m.cancelOrder(rt, o, o.buyer, key, false, false)
		m.readOrderBy(rt, o, o.buyer)
		m.payWith(rt, o, o.buyer, "succeed", "")
		m.cancelOrder(rt, o, o.buyer, "", true, false)
		switch choose(m, rt, "then", "cancel", "cancel, too late", "overdue", "overdue and taken", "asked") {
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
		limit := choose(m, rt, "limit", -1, 0, 1)
		if limit >= 0 {
			m.openSale(rt, p, limit, choose(m, rt, "cool-down", 0, 30), choose(m, rt, "allotment", 0, 2))
		}
		c := m.ask(rt, m.request(1, p, 1), "claim")
		m.move(rt, modelHold)
		if choose(m, rt, "units", "gone", "there") == "gone" {
			m.withdraw(rt, p.sku, p.pools[0], shop.InStock, "")
		}
		ref := m.newKey()
		m.confirmed(rt, []shop.ID{c.id}, ref, "k1")
		m.confirmed(rt, []shop.ID{c.id}, ref, choose(m, rt, "key", "k1", "k2", ""))
		m.confirmed(rt, []shop.ID{c.id}, ref+"other", "k1")
		m.confirmed(rt, []shop.ID{c.id}, ref+"other", "")
	},
	"a limit that what has lapsed does not fill": func(m *model, rt *rapid.T) {
		p := m.fresh(rt, 4)
		m.openSale(rt, p, 1, 0, choose(m, rt, "allotment", 0, 2))
		c := m.ask(rt, m.request(1, p, 1), "claim")
		way := choose(m, rt, "way", "held", "ordered", "paid late")
		if way == "paid late" {
			m.payWith(rt, m.order(rt, c.buyer, []shop.ID{c.id}, "", ""), c.buyer, "late:10m", "")
			m.move(rt, 25*time.Second)
			m.tendPaymentsNow(rt, true, false, false)
		} else {
			m.move(rt, 20*time.Second)
		}
		again := m.ask(rt, m.request(1, p, 1), "claim")
		if way == "ordered" {
			m.order(rt, again.buyer, []shop.ID{again.id}, "", "")
		}
		m.move(rt, 20*time.Second)
		if way == "paid late" {
			m.newsOf(rt, c.order.pays[0], true)
		} else {
			m.confirmed(rt, []shop.ID{c.id}, m.newKey(), "")
		}
	},
	"an order of nothing, of two currencies and without a price": func(m *model, rt *rapid.T) {
		m.order(rt, m.buyer(1), nil, "", "")
		var ids []shop.ID
		for _, p := range m.products {
			m.receive(rt, p.sku, 1, nil, "script", "")
			ids = append(ids, m.ask(rt, m.request(1, p, 1), "claim").id)
		}
		m.order(rt, m.buyer(1), slices.Clone(ids[:2]), "", "")
		m.confirmed(rt, slices.Clone(ids[:2]), m.newKey(), "")
		m.order(rt, m.buyer(1), ids[2:], "", "")
		m.confirmed(rt, ids[2:], m.newKey(), "")
		m.move(rt, modelHold)
		m.order(rt, m.buyer(1), ids[:1], "", "")
	},
	"units that come back": func(m *model, rt *rapid.T) {
		o := m.ordersOne(rt, 3)
		m.payWith(rt, o, o.buyer, "decline", "")
		m.payWith(rt, o, o.buyer, "twice", "")
		m.refundOf(rt, o, o.lines[0].units[:1:1], shop.RestockQuarantine, "k1")
		m.refundOf(rt, o, o.lines[0].units[:1:1], shop.RestockQuarantine, choose(m, rt, "key", "k1", "k2"))
		m.refundOf(rt, o, o.lines[0].units[1:2:2], shop.RestockWriteOff, "")
		m.refundOf(rt, o, nil, shop.RestockAvailable, "")
		o = m.ordersOne(rt, 2)
		m.payWith(rt, o, o.buyer, "succeed", "")
		m.refundOf(rt, o, nil, shop.RestockQuarantine, "")
		m.letOut(rt, o.lines[0].p.sku, 1, nil, "")
		m.withdraw(rt, o.lines[0].p.sku, 1, shop.InQuarantine, "")
		o = m.ordersOne(rt, 1)
		m.move(rt, modelHold)
		m.refundOf(rt, o, nil, shop.RestockAvailable, "")
	},
	"keys that are used again": func(m *model, rt *rapid.T) {
		p := m.fresh(rt, 3)
		key := m.newKey()
		r := m.request(1, p, 1)
		r.Key = key
		c := m.ask(rt, r, "claim")
		m.ask(rt, r, "claim")
		m.extendBy(rt, c, c.buyer, 1, key)
		m.extendBy(rt, c, c.buyer, 1, key)
		m.extendBy(rt, c, c.buyer, 2, key)
		o := m.order(rt, c.buyer, []shop.ID{c.id}, "", key)
		m.order(rt, c.buyer, []shop.ID{c.id}, "", key)
		m.order(rt, c.buyer, []shop.ID{c.id}, "mine", key)
		m.ask(rt, r, "claim")
		r.Quantity++
		m.ask(rt, r, "claim")
		m.payWith(rt, o, o.buyer, "gold", "")
		m.receive(rt, p.sku, 1, nil, "r", key)
		m.receive(rt, p.sku, 2, nil, "r", key)
		for _, how := range []func(*mClaim){
			func(c *mClaim) { m.release(rt, c, c.buyer) },
			func(*mClaim) { m.move(rt, modelHold) },
		} {
			r := m.request(2, p, 1)
			r.Key = m.newKey()
			how(m.ask(rt, r, "claim"))
			m.ask(rt, r, choose(m, rt, "way", "claim", "enqueue"))
		}
	},
	"what does not exist, and what is somebody else's": func(m *model, rt *rapid.T) {
		p := m.fresh(rt, 3)
		const other = "somebody else"
		nothing := m.request(1, p, 1)
		nothing.SKU = "unknown"
		m.ask(rt, nothing, "claim")
		m.ask(rt, nothing, "accept")
		m.receive(rt, "unknown", 1, nil, "r", "")
		m.withdraw(rt, "unknown", 1, shop.InStock, "")
		m.letOut(rt, "unknown", 1, nil, "")
		t := m.terms(p, 0)
		t.Items = append(t.Items, shop.SaleItem{SKU: "unknown", Price: shop.Money{Currency: "EUR"}})
		m.createSale(rt, t, "")
		m.newsOfNothing(rt)
		c := m.ask(rt, m.request(1, p, 1), "claim")
		m.readBy(rt, c, other)
		m.release(rt, c, other)
		m.extendBy(rt, c, other, 1, "")
		m.order(rt, other, []shop.ID{c.id}, "", "")
		o := m.order(rt, c.buyer, []shop.ID{c.id}, "", "")
		m.readOrderBy(rt, o, other)
		m.payWith(rt, o, other, "succeed", "")
		m.cancelOrder(rt, o, other, "", false, false)
	},
	"what is wrong, or comes too late": func(m *model, rt *rapid.T) {
		p := m.fresh(rt, 3)
		m.ask(rt, m.request(1, p, 0), "claim")
		m.ask(rt, m.request(1, p, modelMaxQuantity+1), "claim")
		m.putBadPrice(rt, p)
		m.receive(rt, p.sku, 0, nil, "r", "")
		m.receive(rt, p.sku, 0, []string{"S9"}, "r", "")
		m.receive(rt, p.sku, 0, []string{"S9"}, "r", "")
		m.withdraw(rt, p.sku, 0, shop.InStock, "")
		m.withdraw(rt, p.sku, p.pools[0]+1, shop.InStock, "")
		m.letOut(rt, p.sku, 0, nil, "")
		m.letOut(rt, p.sku, len(p.quarantine)+1, nil, "")
		c := m.ask(rt, m.request(1, p, 1), "claim")
		m.extendBy(rt, c, c.buyer, 0, "")
		m.extendBy(rt, c, c.buyer, 200, "")
		o := m.order(rt, c.buyer, []shop.ID{c.id}, "", "")
		m.release(rt, c, c.buyer)
		m.extendBy(rt, c, c.buyer, 1, "")
		m.order(rt, c.buyer, []shop.ID{c.id}, "", "")
		m.refundOf(rt, o, nil, "", "")
		m.payWith(rt, o, o.buyer, "succeed", "")
		m.payWith(rt, o, o.buyer, "succeed", "")
		c = m.ask(rt, m.request(1, p, 1), "claim")
		m.move(rt, modelHold)
		m.extendBy(rt, c, c.buyer, 1, "")
	},
	"what is off sale, and what is paused": func(m *model, rt *rapid.T) {
		p := m.fresh(rt, 3)
		m.put(rt, p, false, p.price)
		m.ask(rt, m.request(2, p, 1), "claim")
		m.look(rt)
		m.put(rt, p, true, p.price)
		m.pauseSelling(rt, true)
		m.ask(rt, m.request(2, p, 1), "claim")
		m.ask(rt, m.request(2, p, 1), "accept")
		m.look(rt)
		m.pauseSelling(rt, false)
	},
	"the states of a sale": func(m *model, rt *rapid.T) {
		p := m.fresh(rt, 3)
		t := m.terms(p, 0)
		s := m.createSale(rt, t, "")
		for _, action := range []shop.SaleAction{shop.OpenSale, shop.PauseSale, shop.ResumeSale, shop.CloseSale} {
			m.moveSale(rt, s, action, "")
		}
		m.move(rt, time.Second)
		for _, action := range []shop.SaleAction{shop.ScheduleSale, shop.PauseSale, shop.ResumeSale, shop.PauseSale, shop.CloseSale, shop.ScheduleSale} {
			m.moveSale(rt, s, action, "")
		}
		m.changeHold(rt, s, time.Second)
		for _, action := range []shop.SaleAction{shop.OpenSale, shop.CloseSale} {
			t.OpensAt, t.ClosesAt = m.now.Add(time.Minute), m.now.Add(2*time.Minute)
			s = m.createSale(rt, t, "")
			m.moveSale(rt, s, shop.ScheduleSale, "")
			m.changeHold(rt, s, 0)
			m.ask(rt, m.request(1, p, 1), "claim")
			m.look(rt)
			m.moveSale(rt, s, action, "")
			m.moveSale(rt, s, shop.CloseSale, "")
		}
		t.ClosesAt = t.OpensAt
		m.createSale(rt, t, "")
	},
	"the last unit": func(m *model, rt *rapid.T) {
		p := m.products[0]
		if p.pools[0] > 0 {
			m.withdraw(rt, p.sku, p.pools[0], shop.InStock, "")
		}
		m.receive(rt, p.sku, 1, nil, "script", "")
		m.ask(rt, m.request(1, p, 2), "claim")
		c := m.ask(rt, m.request(1, p, 1), "claim")
		m.ask(rt, m.request(2, p, 1), "claim")
		m.look(rt)
		o := m.order(rt, c.buyer, nil, "", "")
		m.ask(rt, m.request(2, p, 1), "claim")
		m.payWith(rt, o, o.buyer, "succeed", "")
		m.ask(rt, m.request(2, p, 1), choose(m, rt, "way", "claim", "accept"))
		m.look(rt)
	},
}

// modelTransitions are every state that anything can move to from another, and what else the scripts have to meet.
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
	"sale schedule: draft -> scheduled", "sale schedule: draft -> open", "sale open: scheduled -> open", "sale scheduled -> open", "sale pause: open -> paused",
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
	"order not-found", "pay validation", "pay not-found", "pay payment-failed", "pay conflict", "cancel order not-found", "cancel order conflict", "cancel order busy", "cancel order idempotency-key-reused",
	"refund validation", "refund conflict", "news not-found", "signed news not-found",
	"product validation", "receive validation", "receive not-found", "receive conflict", "receive idempotency-key-reused",
	"withdraw validation", "withdraw not-found", "withdraw not-enough-units", "unquarantine validation", "unquarantine not-found", "unquarantine not-enough-units",
	"plan validation", "plan not-found", "schedule sale-overlaps", "schedule not-enough-units", "schedule conflict", "open conflict", "pause conflict", "resume conflict", "close conflict",
	"change validation", "change conflict", "sale not-found",
}

package shop

import (
	"context"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"
)

// How often watched products are read: all of them in one query, however many there are and however many watch them. For who begins to watch one that nobody
// watches they are read earlier, but never twice within productsSoonest.
const (
	productsEvery   = 500 * time.Millisecond
	productsSoonest = 100 * time.Millisecond
	productsAtOnce  = 1000 // in one query; for more there are several
)

// ShownProduct is a product as all who watch it are shown it at the same time. It does not change.
type ShownProduct struct {
	Product
	once sync.Once
	text []byte
}

// Text is what write makes of the product, made once for all who watch it.
func (p *ShownProduct) Text(write func(Product) []byte) []byte {
	p.once.Do(func() { p.text = write(p.Product) })
	return p.text
}

// productWatches are those who watch products in this process. One goroutine reads for all of them while there are any.
type productWatches struct {
	s     *Shop
	ctx   context.Context
	end   context.CancelFunc
	mu    sync.RWMutex // thousands look at once what is new
	bySKU map[string]*watchedProduct
	count int           // of watches
	reads bool          // the goroutine that reads is there
	next  *productsRead // the one that has not begun
	soon  bool          // somebody waits for it
	last  time.Time     // when the last one began
	// look tells the goroutine that reads that soon has changed, or that nobody watches any more.
	look chan struct{}
}

type watchedProduct struct {
	shown   *ShownProduct // nil: not read yet, or there is none
	stale   bool          // it could not be read of late
	watches map[*ProductWatch]struct{}
}

// productsRead is one reading of all products that were watched when it began.
type productsRead struct {
	done chan struct{}
	err  error // once done
}

func newProductWatches(s *Shop) *productWatches {
	ws := &productWatches{s: s, bySKU: map[string]*watchedProduct{}, look: make(chan struct{}, 1), next: &productsRead{done: make(chan struct{})}}
	ws.ctx, ws.end = context.WithCancel(context.Background())
	return ws
}

func (ws *productWatches) stop() { ws.end() }

// ProductWatch is a look at some products that goes on.
type ProductWatch struct {
	ws       *productWatches
	skus     []string
	products []*watchedProduct // of skus
	told     []*ShownProduct   // of skus, what News gave last
	changed  chan struct{}
	closed   bool
}

// WatchProducts begins to watch products. Close it. Refusals: NotFound, which names what there is not; Busy when as many watch as may (Limits.Waiting), or
// the products can't be read.
func (s *Shop) WatchProducts(ctx context.Context, skus []string) (*ProductWatch, error) {
	if s.products.ctx.Err() != nil {
		return nil, busy()
	}
	w, read := s.products.add(skus)
	if w == nil {
		return nil, busy()
	}
	if err := w.begin(ctx, read); err != nil {
		w.Close()
		return nil, err
	}
	return w, nil
}

// begin waits for the reading that shows all of the watch's products, if one is needed.
func (w *ProductWatch) begin(ctx context.Context, read *productsRead) error {
	if read != nil {
		select {
		case <-read.done:
		case <-ctx.Done():
			return ctx.Err()
		case <-w.ws.ctx.Done():
			return busy()
		}
		if read.err != nil {
			return read.err
		}
	}
	if missing := w.missing(); len(missing) > 0 {
		r := notFound("product")
		r.Detail = "There is no product " + strings.Join(missing, ", ") + ". Watch the others without it."
		return r
	}
	return nil
}

// add makes a watch, with the reading to wait for unless all is known; nil: as many watch as may.
func (ws *productWatches) add(skus []string) (*ProductWatch, *productsRead) {
	skus = slices.Clone(skus)
	slices.Sort(skus)
	skus = slices.Compact(skus)
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.count >= ws.s.limits.Load().Waiting {
		return nil, nil
	}
	ws.count++
	w := &ProductWatch{ws: ws, skus: skus, told: make([]*ShownProduct, len(skus)), changed: make(chan struct{}, 1)}
	var read *productsRead
	for _, sku := range skus {
		p := ws.bySKU[sku]
		if p == nil {
			p = &watchedProduct{watches: map[*ProductWatch]struct{}{}}
			ws.bySKU[sku] = p
		}
		p.watches[w] = struct{}{}
		w.products = append(w.products, p)
		if p.shown == nil || p.stale {
			read = ws.next
		}
	}
	if read != nil && !ws.soon {
		ws.soon = true
		ws.nudge()
	}
	if !ws.reads {
		ws.reads = true
		go ws.run()
	}
	return w, read
}

func (ws *productWatches) nudge() {
	select {
	case ws.look <- struct{}{}:
	default:
	}
}

// Close ends the watch.
func (w *ProductWatch) Close() {
	ws := w.ws
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if w.closed {
		return
	}
	w.closed = true
	ws.count--
	for i, p := range w.products {
		delete(p.watches, w)
		if len(p.watches) == 0 {
			delete(ws.bySKU, w.skus[i])
		}
	}
	if ws.count == 0 {
		ws.nudge()
	}
}

// Changed gives something when there may be news.
func (w *ProductWatch) Changed() <-chan struct{} { return w.changed }

// Stopped is closed when the shop no longer watches.
func (w *ProductWatch) Stopped() <-chan struct{} { return w.ws.ctx.Done() }

// News, for one goroutine at a time, are the products that look other than when they were asked for last, as they look now; at first all. gone: one of them was deleted.
func (w *ProductWatch) News() (news []*ShownProduct, gone bool) {
	w.ws.mu.RLock()
	defer w.ws.mu.RUnlock()
	for i, p := range w.products {
		switch {
		case p.shown == nil:
			gone = true
		case p.shown != w.told[i]:
			w.told[i] = p.shown
			news = append(news, p.shown)
		}
	}
	return news, gone
}

func (w *ProductWatch) missing() (skus []string) {
	w.ws.mu.RLock()
	defer w.ws.mu.RUnlock()
	for i, p := range w.products {
		if p.shown == nil {
			skus = append(skus, w.skus[i])
		}
	}
	return skus
}

// run reads what is watched again and again, until nobody watches or the shop stops waiting.
func (ws *productWatches) run() {
	for {
		ws.mu.Lock()
		if ws.count == 0 {
			ws.reads = false
			ws.mu.Unlock()
			return
		}
		due := ws.last.Add(productsEvery)
		if ws.soon {
			due = ws.last.Add(productsSoonest)
		}
		ws.mu.Unlock()
		timer := time.NewTimer(time.Until(due))
		select {
		case <-ws.ctx.Done():
			timer.Stop()
			return
		case <-ws.look:
			timer.Stop()
		case <-timer.C:
			ws.read()
		}
	}
}

// read reads all products that are watched and tells what has changed. It may fail, when the database is away: then who begins to watch is told so, and the
// others see what has changed at the next one.
func (ws *productWatches) read() {
	ws.mu.Lock()
	read := ws.next
	ws.next, ws.soon, ws.last = &productsRead{done: make(chan struct{})}, false, time.Now()
	skus := make([]string, 0, len(ws.bySKU))
	for sku := range ws.bySKU {
		skus = append(skus, sku)
	}
	ws.mu.Unlock()
	slices.Sort(skus)
	for some := range slices.Chunk(skus, productsAtOnce) {
		ctx, cancel := context.WithTimeout(ws.ctx, 2*time.Second)
		products, err := ws.s.shown(ctx, some)
		if err != nil && read.err == nil {
			if read.err = err; ctx.Err() != nil {
				read.err = busy() // it took too long, or the shop stops
			}
		}
		cancel()
		ws.take(some, products, err != nil)
	}
	close(read.done)
}

// take notes what products look like, and tells those who watch one that looks other than before. Nobody is waited for: who is slow finds the latest.
func (ws *productWatches) take(skus []string, products []Product, failed bool) {
	now := make(map[string]Product, len(products))
	for _, product := range products {
		now[product.SKU] = product
	}
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for _, sku := range skus {
		p := ws.bySKU[sku]
		if p == nil {
			continue
		}
		if p.stale = failed; failed {
			continue
		}
		product, is := now[sku]
		switch {
		case !is && p.shown == nil, is && p.shown != nil && reflect.DeepEqual(product, p.shown.Product):
			continue
		case is:
			p.shown = &ShownProduct{Product: product}
		default:
			p.shown = nil
		}
		for w := range p.watches {
			select {
			case w.changed <- struct{}{}:
			default:
			}
		}
	}
}

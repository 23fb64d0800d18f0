package httpapi

import (
	"context"
	"encoding/json"
	"net"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"

	"github.com/lastunit/lastunit/internal/shop"
)

const watchProductText = "Server-sent events: each product as getProduct shows it when the stream begins, and again whenever anything of that has changed, " +
	"within a second. Who reads slowly is told the latest. One stream serves a whole page, up to 100 products; 404 names those that there are not, before anything begins. " +
	"The stream ends when the service stops, when one of its products is deleted, and after 15 minutes: connect again, and it begins with all that is known. " +
	"Products are read once for all who watch, so watching costs the store nothing, and what is shown at first may be half a second old."

// eventsSKU is the last part of this operation's address, which is why no product can be called so.
const eventsSKU = "events"

type watchProductInput struct {
	SKU []string `query:"sku,explode" required:"true" minItems:"1" maxItems:"100" pattern:"^[A-Za-z0-9._-]{1,64}$" patternDescription:"SKU" doc:"Of which products; repeat it for several."`
}

func (a *api) watchProduct(ctx context.Context, in *watchProductInput) (*huma.StreamResponse, error) {
	w, err := a.shop.WatchProducts(ctx, in.SKU)
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		_, rw := humachi.Unwrap(hc)
		s, head := a.takeOver(rw)
		if s == nil {
			w.Close()
			return
		}
		go func() {
			defer a.ended(s, w.Close)
			if s.write(head) == nil {
				s.followProducts(w)
			}
		}()
	}}, nil
}

// followProducts tells what products look like until the reader goes, one of them is deleted, or the shop stops watching.
func (s *stream) followProducts(w *shop.ProductWatch) {
	gone := make(chan struct{})
	go s.untilGone(gone)
	silent := time.NewTicker(s.heartbeat)
	defer silent.Stop()
	over := time.NewTimer(streamLasts)
	defer over.Stop()
	for {
		news, deleted := w.News()
		if deleted || s.tellProducts(news) != nil {
			return
		}
		select {
		case <-w.Changed():
		case <-silent.C:
			if time.Since(s.wrote) >= s.heartbeat/2 && s.write(stillHere) != nil {
				return
			}
		case <-gone:
			return
		case <-over.C:
			return
		case <-w.Stopped():
			return
		}
	}
}

func (s *stream) tellProducts(news []*shop.ShownProduct) error {
	if len(news) == 0 {
		return nil
	}
	texts := make(net.Buffers, len(news))
	for i, product := range news {
		texts[i] = product.Text(productEvent)
	}
	return s.writeAll(texts)
}

func productEvent(p shop.Product) []byte {
	data, _ := json.Marshal(productOut(p)) // of plain values: it can't fail
	return append(append([]byte("event: product\ndata: "), data...), "\n\n"...)
}

// describeProductEvents writes the answer of an operation that streams products into the document.
func describeProductEvents(o *huma.Operation) {
	o.Responses["200"] = eventsOf("product", "Product", map[string]*huma.Schema{})
}

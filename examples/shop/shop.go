// Command shop is a small web shop that has its own users, its own catalogue with prices and its own payment, all in this file. It lets lastunit keep
// its stock, and nothing else: cart.go is when it calls lastunit, and stock.go is how.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"log"
	"net/http"
	"os"
	"sync"
	"time"
)

// order is a line in the shop's books, from the cart on.
type order struct {
	Number    string    `json:"number"` // never used twice: it is lastunit's reference
	User      string    `json:"user"`
	SKU       string    `json:"sku"`
	Quantity  int       `json:"quantity"`
	Cents     int       `json:"cents"`
	State     string    `json:"state"`
	HoldID    string    `json:"hold_id"`    // lastunit's transaction
	HeldUntil time.Time `json:"held_until"` // for the timer in the cart
}

// The states of an order: cart → paying → sold or refunded; in between paid, when lastunit has not answered yet; dropped when there was no payment.
const inCart, isPaying, isPaid, isSold, isRefunded, isDropped = "cart", "paying", "paid", "sold", "refunded", "dropped"

// shop keeps its books in memory, where a real one has a database.
type shop struct {
	stock     *stock
	users     map[string]string // passwords; a real shop hashes them
	catalogue map[string]int    // prices in cents, by SKU
	charge    func(number string, cents int, card string) error
	payTime   time.Duration // that a payment may take

	mu     sync.Mutex
	orders map[string]order // by number
	taken  map[string]int   // cents, by number of the order
}

func main() {
	listen := flag.String("listen", "127.0.0.1:9090", "the address of the shop")
	url := flag.String("lastunit", "http://127.0.0.1:8080", "the address of lastunit")
	flag.Parse()
	key := os.Getenv("LASTUNIT_KEY") //nolint:forbidigo // a program of its own; and a key among the flags could be read by everybody on the machine
	if key == "" {
		log.Fatal("set LASTUNIT_KEY to what this prints: lastunit key create --name shop --scope claim --scope order")
	}
	s := newShop(newStock(*url, key))
	go s.settlePaid(context.Background(), 5*time.Second)
	server := &http.Server{Addr: *listen, Handler: s.pages(), ReadHeaderTimeout: 10 * time.Second}
	log.Printf("the shop is open at http://%s", *listen)
	log.Fatal(server.ListenAndServe())
}

func newShop(stock *stock) *shop {
	s := &shop{stock: stock, orders: map[string]order{}, taken: map[string]int{}}
	s.users = map[string]string{"ada": "lovelace", "grace": "hopper", "alan": "turing"}
	s.catalogue = map[string]int{"lamp-moon": 5400, "mug-last": 1900, "sneaker-1212": 12900}
	s.charge, s.payTime = s.chargeCard, time.Minute
	return s
}

func (s *shop) pages() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /products", s.page(func(context.Context, string, *http.Request) (any, error) { return s.catalogue, nil }))
	mux.HandleFunc("GET /orders", s.page(func(_ context.Context, user string, _ *http.Request) (any, error) {
		return s.find(func(o order) bool { return o.User == user }), nil
	}))
	mux.HandleFunc("POST /cart", s.page(s.addToCart))
	mux.HandleFunc("DELETE /cart/{number}", s.page(s.removeFromCart))
	mux.HandleFunc("POST /orders/{number}/pay", s.page(s.pay))
	return http.NewCrossOriginProtection().Handler(mux)
}

// page answers a user who has logged in. It runs to its end when the browser has gone, too: no payment is left half done.
func (s *shop) page(do func(ctx context.Context, user string, r *http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		if known, ok := s.users[user]; !ok || password != known {
			w.Header().Set("WWW-Authenticate", "Basic")
			http.Error(w, "Log in first.", http.StatusUnauthorized)
			return
		}
		status := http.StatusOK
		answer, err := do(context.WithoutCancel(r.Context()), user, r)
		if err != nil {
			var p *problem
			if !errors.As(err, &p) || !p.forBuyers() {
				log.Printf("%s %s: %v", r.Method, r.URL.Path, err)
				p = &problem{Status: http.StatusServiceUnavailable, Detail: "Something is wrong on our side. Try again in a moment."}
			}
			status, answer = p.Status, p
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(answer) // the browser may have gone
	}
}

// chargeCard is the payment, made up.
func (s *shop) chargeCard(number string, cents int, card string) error {
	switch card {
	case "declined":
		return &problem{Status: http.StatusPaymentRequired, Detail: "The card was declined."}
	case "slow":
		time.Sleep(3 * time.Second) // as providers do: meanwhile a hold may lapse
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken[number] = cents
	return nil
}

func (s *shop) giveBack(number string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.taken, number)
}

// move changes the state of a user's order for one caller alone: a second click on "pay" does not pay twice.
func (s *shop) move(number, user, from, to string) (order, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, found := s.orders[number]
	switch {
	case !found || o.User != user:
		return order{}, &problem{Status: http.StatusNotFound, Detail: "There is no such order."}
	case o.State != from:
		return order{}, &problem{Status: http.StatusConflict, Detail: "This order is not in the state " + from + ", but " + o.State + "."}
	}
	o.State = to
	s.orders[number] = o
	return o, nil
}

func (s *shop) save(o order) order {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.orders[o.Number] = o
	return o
}

func (s *shop) find(wanted func(order) bool) []order {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := []order{}
	for _, o := range s.orders {
		if wanted(o) {
			found = append(found, o)
		}
	}
	return found
}

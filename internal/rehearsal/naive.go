package rehearsal

import (
	"encoding/json"
	"net/http"

	"github.com/jackc/pgx/v5/pgxpool"
)

// naiveHandler is the shop that this project is about: it reads the stock, and when there is some, writes an order and one
// less. Each statement is right by itself, nothing here is slowed down, and with one buyer at a time it never goes wrong.
func naiveHandler(pool *pgxpool.Pool) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, r *http.Request) {
		if err := pool.Ping(r.Context()); err != nil {
			http.Error(w, "no database", http.StatusInternalServerError)
		}
	})
	mux.HandleFunc("POST "+claimPath, func(w http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		var want struct {
			SKU      string `json:"sku"`
			Quantity int    `json:"quantity"`
		}
		if err := json.NewDecoder(r.Body).Decode(&want); err != nil {
			http.Error(w, "bad request", http.StatusBadRequest)
			return
		}
		// One connection from beginning to end, as most frameworks do it. It is the milder way: at most as many requests as
		// there are connections are between reading and writing. With a connection for each statement, a waiting crowd has
		// all read before the first one writes, and everybody is sold to.
		db, err := pool.Acquire(ctx)
		if err != nil {
			http.Error(w, "no database", http.StatusInternalServerError)
			return
		}
		defer db.Release()
		var stock, order int
		err = db.QueryRow(ctx, `SELECT quantity FROM stock WHERE sku = $1`, want.SKU).Scan(&stock)
		if err == nil && stock < want.Quantity {
			w.WriteHeader(http.StatusConflict)
			_ = json.NewEncoder(w).Encode(map[string]any{"code": "sold-out"})
			return
		}
		if err == nil {
			err = db.QueryRow(ctx, `INSERT INTO orders (sku, quantity, buyer) VALUES ($1, $2, $3) RETURNING id`,
				want.SKU, want.Quantity, r.Header.Get("Buyer-Id")).Scan(&order)
		}
		if err == nil {
			_, err = db.Exec(ctx, `UPDATE stock SET quantity = quantity - $2 WHERE sku = $1`, want.SKU, want.Quantity)
		}
		if err != nil {
			http.Error(w, "internal error", http.StatusInternalServerError)
			return
		}
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(map[string]any{"id": "order", "status": "held", "order": order})
	})
	return mux
}

// Package db_test holds the schema and the statements to their word without the service: many connections at once, constraints
// that must bite, migrations both ways, and the rules that a query must keep.
package db_test

import (
	"context"
	"math"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/internal/dbsqlc"
	"github.com/lastunit/lastunit/internal/dbtest"
	"github.com/lastunit/lastunit/internal/pgdb"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

const everyPosition = int64(math.MaxInt64)

func connect(t testing.TB, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func exec(t testing.TB, db dbsqlc.DBTX, statement string, args ...any) {
	t.Helper()
	if _, err := db.Exec(t.Context(), statement, args...); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// ask returns the one value that a query gives.
func ask[T any](t testing.TB, db dbsqlc.DBTX, query string, args ...any) T {
	t.Helper()
	var got T
	if err := db.QueryRow(t.Context(), query, args...).Scan(&got); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return got
}

func makeProduct(t testing.TB, db dbsqlc.DBTX, sku string) int64 {
	t.Helper()
	if _, err := dbsqlc.New().ProductPut(t.Context(), db, dbsqlc.ProductPutParams{SKU: sku, Attributes: []byte(`{}`), Selling: true}); err != nil {
		t.Fatal(err)
	}
	var id int64
	if err := db.QueryRow(t.Context(), `SELECT product_id FROM product WHERE sku = $1`, sku).Scan(&id); err != nil {
		t.Fatal(err)
	}
	return id
}

// receive makes units as a receipt does. Call it in a transaction if others are to see all of it or nothing.
func receive(ctx context.Context, db dbsqlc.DBTX, product int64, quantity int) error {
	q, id := dbsqlc.New(), pgdb.NewID()
	_, err := q.ReceiptInsert(ctx, db, dbsqlc.ReceiptInsertParams{
		ReceiptID: id, ProductID: product, Quantity: int32(quantity), Reference: "test", APIKeyID: pgdb.NewID(),
	})
	if err != nil {
		return err
	}
	var units []dbsqlc.UnitInsertManyParams
	var tokens []dbsqlc.StockTokenInsertManyParams
	for range quantity {
		unit := dbsqlc.UnitInsertManyParams{UnitID: pgdb.NewID(), ProductID: product, ReceiptID: id}
		units = append(units, unit)
		tokens = append(tokens, dbsqlc.StockTokenInsertManyParams{ProductID: product, UnitID: unit.UnitID})
	}
	if _, err = q.UnitInsertMany(ctx, db, units); err == nil {
		_, err = q.StockTokenInsertMany(ctx, db, tokens)
	}
	return err
}

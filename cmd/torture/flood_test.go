package main

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/internal/dbtest"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// A flood says nothing unless the way to the database is as long as it is said to be, also where PostgreSQL is at a socket.
func TestTheWayToTheDatabaseIsLong(t *testing.T) {
	t.Parallel()
	p, database, err := before(dbtest.URL(t))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	db, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(t.Context())
	const way = 20 * time.Millisecond
	p.Delay(way)
	began := time.Now()
	if _, err := db.Exec(t.Context(), "SELECT"); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < 2*way {
		t.Errorf("there and back it took %v, and each way is %v", took, way)
	}
}

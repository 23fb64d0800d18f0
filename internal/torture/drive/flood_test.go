package drive_test

import (
	"testing"
	"time"

	"github.com/lastunit/lastunit/internal/torture/drive"
)

func TestAFloodIsServedOrRefused(t *testing.T) {
	t.Parallel()
	const units = 50_000
	ctx, s := started(t, 1, "--hold", "10m", "--max-waiting", "32")
	f, err := drive.Flood(ctx, drive.FloodOptions{
		Prefix: "f-", Key: s.Key, Addresses: s.Addresses(), Units: units, Connections: 256, Closed: 16, Times: 50, Peak: 500 * time.Millisecond, For: time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	f.Print(t.Output())
	if len(f.Other) > 0 {
		t.Errorf("there were units for all, and some were answered %v", f.Other)
	}
	if f.Peak == 0 || f.Served == 0 || f.Refused == 0 || f.Took.P50 == 0 || f.Refusals.P50 == 0 || f.Sent < f.Served {
		t.Errorf("%+v", f)
	}
	db, err := s.Connect(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(ctx)
	var held int
	if err := db.QueryRow(ctx, `SELECT count(*) FROM claim WHERE status = 'held'`).Scan(&held); err != nil {
		t.Fatal(err)
	}
	if told := int(f.Served + f.Peak/2); held < told-1 || held > units {
		t.Errorf("%d hold a unit, and at least %d were told so", held, told)
	}
}

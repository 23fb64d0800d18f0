package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"github.com/lastunit/lastunit/bench/driven"
)

type durableOptions struct {
	connections, kills int
	between            time.Duration
}

// kept is a system whose store can be killed and asked.
type kept struct {
	*system
	kill func() error
	// known tells which of its keys, each as "buyer key", the store knows.
	known func() (map[string]bool, error)
}

// durable kills the store of each system with kill -9 while claims are answered, starts it again, and looks for every claim that was answered 201. It shows that nothing is
// answered before the store has taken it from its client; what a power failure would take is another question, which fsync decides and this can't ask.
func durable(ctx context.Context, binary string, o durableOptions, out io.Writer) error {
	b, err := newBench(ctx, binary, 1)
	if err != nil {
		return err
	}
	defer b.stop()
	if err := b.stock("hot", unitsAtOnce); err != nil {
		return err
	}
	systems, err := b.killable()
	if err != nil {
		return err
	}
	var findings driven.Findings
	for _, s := range systems {
		answered, err := b.answeredUnderKills(s, o)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		known, err := s.known()
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		lost := lostOf(answered, known)
		fmt.Fprintf(out, "%-24s killed %d times; %7d answered, %d of them lost\n", s.name, o.kills, len(answered), lost)
		if lost > 0 || len(answered) == 0 {
			findings.Add("%s: %d of %d answered claims are lost", s.name, lost, len(answered))
		}
	}
	if len(findings) > 0 {
		return errors.Join(driven.ErrBroken, errors.New(strings.Join(findings, "; ")))
	}
	return nil
}

// lostOf is how many keys are not known.
func lostOf(answered, known map[string]bool) (n int) {
	for key := range answered {
		if !known[key] {
			n++
		}
	}
	return n
}

// killable starts everything that is durable.
func (b *bench) killable() (systems []kept, err error) {
	killPostgres := func() error {
		if !b.service.KillPostgres() {
			return errors.New("there is no PostgreSQL to kill")
		}
		return nil
	}
	systems = append(systems, kept{b.lastunit(1), killPostgres, func() (map[string]bool, error) { return b.keysIn(b.service.Database()) }})
	database, err := b.contenderDatabase(unitsAtOnce)
	if err != nil {
		return nil, err
	}
	for _, name := range append([]string{"counter, lane"}, perTransaction...) {
		s, err := b.contender(name, name, 1, "-database", database, "-connections", "32")
		if err != nil {
			return nil, err
		}
		systems = append(systems, kept{s, killPostgres, func() (map[string]bool, error) { return b.keysIn(database) }})
	}
	for _, r := range [][2]string{{"redis", "redis always"}, {"redis, lane", "redis always, lane"}} {
		address, cmd, err := b.redisServer("always", 100*unitsAtOnce)
		if err != nil {
			return nil, err
		}
		s, err := b.contender(r[1], r[0], 1, "-redis", address, "-connections", "64")
		if err != nil {
			return nil, err
		}
		again := cmd
		kill := func() error {
			_ = again.Process.Kill()
			_ = again.Wait()
			again = exec.CommandContext(b.ctx, cmd.Path, cmd.Args[1:]...)
			return b.start(again, "Ready to accept")
		}
		systems = append(systems, kept{s, kill, func() (map[string]bool, error) { return b.keysInRedis(address) }})
	}
	return systems, nil
}

// answeredUnderKills lets buyers loose on a system and kills its store, and returns the keys of the claims that were answered 201.
func (b *bench) answeredUnderKills(s kept, o durableOptions) (map[string]bool, error) {
	each := make([][]string, o.connections)
	l := load{
		addresses: s.addresses, connections: o.connections, crowd: b.crowd, path: addToCart, body: one("hot", 1),
		measure: time.Duration(o.kills+1) * o.between * 2,
		answered: func(connection int, key string, status int) {
			if status == 201 {
				each[connection] = append(each[connection], key)
			}
		},
	}
	var all sync.WaitGroup
	var killed error
	all.Go(func() {
		for range o.kills {
			driven.Pause(b.ctx, 2*o.between)
			killed = errors.Join(killed, s.kill())
		}
	})
	l.run(b.ctx)
	all.Wait()
	if killed != nil {
		return nil, killed
	}
	answered := map[string]bool{}
	for _, keys := range each {
		for _, key := range keys {
			answered[key] = true
		}
	}
	return answered, nil
}

// keysIn reads the keys of all claims of a database, which may just be starting.
func (b *bench) keysIn(url string) (map[string]bool, error) {
	var db *pgx.Conn
	var err error
	for began := time.Now(); ; driven.Pause(b.ctx, 100*time.Millisecond) {
		if db, err = pgx.Connect(b.ctx, url); err == nil || time.Since(began) > time.Minute || b.ctx.Err() != nil {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = db.Close(context.WithoutCancel(b.ctx)) }()
	rows, err := db.Query(b.ctx, `SELECT buyer || ' ' || idempotency_key FROM claim WHERE idempotency_key IS NOT NULL`)
	if err != nil {
		return nil, err
	}
	known := map[string]bool{}
	var key string
	_, err = pgx.ForEachRow(rows, []any{&key}, func() error {
		known[key] = true
		return nil
	})
	return known, err
}

func (b *bench) keysInRedis(address string) (map[string]bool, error) {
	client := redis.NewClient(&redis.Options{Addr: address})
	defer client.Close()
	known := map[string]bool{}
	all := client.Scan(b.ctx, 0, "key:*", 10000).Iterator()
	for all.Next(b.ctx) {
		_, key, _ := strings.Cut(all.Val(), ":")
		known[strings.Replace(key, ":", " ", 1)] = true
	}
	return known, all.Err()
}

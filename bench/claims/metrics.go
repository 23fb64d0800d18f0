package main

import (
	"context"
	"flag"
	"io"
	"net/http"
	"os"
	"os/exec"
	"time"

	"github.com/lastunit/lastunit/bench/driven"
)

type metricsOptions struct {
	compareOptions
}

func (o *metricsOptions) flags(f *flag.FlagSet) {
	f.IntVar(&o.rounds, "rounds", 15, "how often each has two turns, the second pair the other way round")
	f.IntVar(&o.connections, "connections", 256, "of buyers")
	f.DurationVar(&o.measure, "measure", 2500*time.Millisecond, "how long a turn is")
	f.StringVar(&o.results, "results", "", "where the figures go, and beside it the plot; empty: nowhere")
}

// metrics lets a server with metrics, which are read each second, and one without, both on one database, have turns of direct claims.
func metrics(ctx context.Context, binary string, o metricsOptions, out io.Writer) error {
	s := newShown("metrics", out)
	b, err := newBench(ctx, binary, 1)
	if err != nil {
		return err
	}
	defer b.stop()
	counted, at, err := b.counted()
	if err != nil {
		return err
	}
	const with, without = "with metrics", "without"
	if err := b.stock("hot", 4*o.most()); err != nil {
		return err
	}
	load := o.load(one("hot", 1))
	plain := turn{name: without, system: b.lastunit(1), status: 201, load: load}
	metered := turn{name: with, run: func() (sample, error) {
		reading, stop := context.WithCancel(ctx)
		defer stop()
		read := make(chan error, 1)
		go func() { read <- readEachSecond(reading, at) }()
		one, err := b.measure(counted, load, 201, 1)
		if stop(); err == nil {
			err = <-read
		}
		return one, err
	}}
	// Both ways round: whoever comes second finds more rows, and the processors as the first left them.
	samples, err := b.rounds([]turn{plain, metered, metered, plain}, o.rounds, out)
	if err != nil {
		return err
	}
	s.keep("direct claims a second", samples, perSecond, with, without)
	s.pairs(figure{Name: "claims/s, with metrics ÷ without", AtLeast: 0.95}, samples[with], samples[without], perSecond)
	s.pairs(figure{Name: "the server's processor time a claim, with metrics ÷ without"}, samples[with], samples[without], func(s sample) float64 { return s.ServerMicros })
	return s.end(o.results)
}

// counted starts one more server, with metrics, and tells where these are.
func (b *bench) counted() (*system, string, error) {
	listen, err := driven.FreeAddress()
	if err != nil {
		return nil, "", err
	}
	at, err := driven.FreeAddress()
	if err != nil {
		return nil, "", err
	}
	cmd := exec.CommandContext(b.ctx, b.binary, "serve", "--listen", listen, "--metrics-listen", at, "--database-url", b.service.Database(),
		"--data-dir", b.service.Dir(), "--buyer-secret", secret, "--buyer-rate", "0", "--log-level", "error")
	cmd.Stderr = os.Stderr
	if err := b.start(cmd, "its database is "); err != nil {
		return nil, "", err
	}
	return &system{name: "lastunit", addresses: []string{listen}, servers: []int{cmd.Process.Pid}, store: b.postgres, logs: true}, "http://" + at + "/metrics", nil
}

// readEachSecond reads an address each second, until ctx ends.
func readEachSecond(ctx context.Context, url string) error {
	for ctx.Err() == nil {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		if err != nil && ctx.Err() == nil {
			return err
		}
		driven.Pause(ctx, time.Second)
	}
	return nil
}

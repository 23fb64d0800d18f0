package main

import (
	"context"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// door ends a listener without turning away whom it has let in. http.Server.Shutdown does: it closes the connections that only the kernel has taken, and those
// whose request it reads afterwards.
type door struct {
	listener net.Listener
	closes   atomic.Bool
	mu       sync.Mutex
	unheard  map[net.Conn]struct{} // have come since it began to close, and their request has not been read
}

func newDoor(listener net.Listener) *door {
	return &door{listener: listener, unheard: map[net.Conn]struct{}{}}
}

// saw is the server's ConnState.
func (d *door) saw(c net.Conn, state http.ConnState) {
	if !d.closes.Load() {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if state == http.StateNew {
		d.unheard[c] = struct{}{}
	} else {
		delete(d.unheard, c)
	}
}

// shut closes the listener when the server has taken all who knocked. Where the kernel doesn't tell how many those are (on other systems than Linux) they are
// turned away.
func (d *door) shut(ctx context.Context) {
	until(ctx, func() bool { return shutWhenEmpty(d.listener) })
	_ = d.listener.Close()
}

// heardWithin is how long whoever has connected while the door was closing may take to send a request.
const heardWithin = 2 * time.Second

// heard returns when the request of everybody who came has been read, or they have had their time.
func (d *door) heard(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, heardWithin)
	defer cancel()
	until(ctx, func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return len(d.unheard) == 0
	})
}

// until asks every millisecond whether it is done.
func until(ctx context.Context, done func() bool) {
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for !done() {
		select {
		case <-look.C:
		case <-ctx.Done():
			return
		}
	}
}

// Package proxy stands between clients and what they are connected to, over TCP on this machine, and breaks their connections in the ways in which networks do.
package proxy

import (
	"bytes"
	"io"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// Cut is where a connection is cut.
type Cut int32

// Before: what is asked never arrives. After: it arrives, and its answer does not come back. Amid: half of the answer comes back.
const (
	Before Cut = iota + 1
	After
	Amid
)

// Proxy forwards the connections to one address. All its methods may be called from several goroutines.
type Proxy struct {
	listener net.Listener
	target   string
	// aim is what a question must hold to be cut; nil: any will do.
	aim []byte

	mu    sync.Mutex
	links map[*link]bool

	armed   atomic.Int64 // questions that are still to be cut
	cut     atomic.Int32 // how
	deaf    atomic.Bool
	refuses atomic.Bool
	delay   atomic.Int64 // of each piece, in nanoseconds
	cuts    atomic.Int64
}

// New listens on an address (host:port) and forwards to target, which is another or the path of a socket. Questions that hold aim are those that Arm is about.
func New(listen, target string, aim []byte) (*Proxy, error) {
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return nil, err
	}
	p := &Proxy{listener: l, target: target, aim: aim, links: map[*link]bool{}}
	go p.accept()
	return p, nil
}

// Address is where it listens.
func (p *Proxy) Address() string { return p.listener.Addr().String() }

// Cuts counts the connections that were cut so far.
func (p *Proxy) Cuts() int { return int(p.cuts.Load()) }

// Close stops listening and cuts everything, which is not counted.
func (p *Proxy) Close() {
	_ = p.listener.Close()
	p.each(func(l *link) { l.close() })
}

// CutAll cuts all connections, and tells how many.
func (p *Proxy) CutAll() int {
	n := 0
	p.each(func(l *link) {
		if l.close() {
			n++
		}
	})
	p.cuts.Add(int64(n))
	return n
}

// Arm has the next n questions cut, one connection each.
func (p *Proxy) Arm(c Cut, n int) {
	p.cut.Store(int32(c))
	p.armed.Store(int64(n))
}

// Deafen lets nothing through in either direction, neither what comes nor that a connection ends, until it is called with false. Connections are accepted.
func (p *Proxy) Deafen(on bool) { p.deaf.Store(on) }

// Refuse ends new connections at once, until it is called with false.
func (p *Proxy) Refuse(on bool) { p.refuses.Store(on) }

// Delay holds up each piece by so much.
func (p *Proxy) Delay(d time.Duration) { p.delay.Store(int64(d)) }

// Heal undoes whatever was asked for.
func (p *Proxy) Heal() {
	p.armed.Store(0)
	p.deaf.Store(false)
	p.refuses.Store(false)
	p.delay.Store(0)
}

func (p *Proxy) each(do func(*link)) {
	p.mu.Lock()
	all := make([]*link, 0, len(p.links))
	for l := range p.links {
		all = append(all, l)
	}
	p.mu.Unlock()
	for _, l := range all {
		do(l)
	}
}

func (p *Proxy) accept() {
	for {
		in, err := p.listener.Accept()
		if err != nil {
			return
		}
		if p.refuses.Load() {
			_ = in.Close()
			continue
		}
		go p.join(in)
	}
}

// link is a connection of a client, and its continuation.
type link struct {
	in, out net.Conn
	closed  atomic.Bool
	// doomed: the answer to what was asked is to be cut, as Cut says.
	doomed atomic.Int32
}

// close tells whether it was open.
func (l *link) close() bool {
	if l.closed.Swap(true) {
		return false
	}
	_ = l.in.Close()
	_ = l.out.Close()
	return true
}

func (p *Proxy) join(in net.Conn) {
	p.listen()
	network := "tcp"
	if filepath.IsAbs(p.target) {
		network = "unix"
	}
	out, err := net.DialTimeout(network, p.target, 2*time.Second)
	if err != nil {
		_ = in.Close()
		return
	}
	l := &link{in: in, out: out}
	p.mu.Lock()
	p.links[l] = true
	p.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { p.pump(l, out, in, p.ask) })
	both.Go(func() { p.pump(l, in, out, p.answer) })
	both.Wait()
	p.mu.Lock()
	delete(p.links, l)
	p.mu.Unlock()
}

// listen returns when the proxy is not deaf.
func (p *Proxy) listen() {
	for p.deaf.Load() {
		time.Sleep(20 * time.Millisecond)
	}
}

// pump forwards pieces until one end is closed; then it closes the other.
func (p *Proxy) pump(l *link, to io.Writer, from io.Reader, pass func(*link, io.Writer, []byte) bool) {
	defer l.close()
	piece := make([]byte, 64<<10)
	for {
		n, err := from.Read(piece)
		p.listen()
		if d := p.delay.Load(); d > 0 {
			time.Sleep(time.Duration(d))
		}
		if n > 0 && !pass(l, to, piece[:n]) || err != nil {
			return
		}
	}
}

// ask forwards what a client says. False: the connection is to be cut.
func (p *Proxy) ask(l *link, to io.Writer, piece []byte) bool {
	if p.armed.Load() > 0 && (p.aim == nil || bytes.Contains(piece, p.aim)) && p.armed.Add(-1) >= 0 {
		p.cuts.Add(1)
		c := p.cut.Load()
		if Cut(c) == Before {
			return false
		}
		l.doomed.Store(c)
	}
	_, err := to.Write(piece)
	return err == nil
}

// answer forwards what a client is told.
func (p *Proxy) answer(l *link, to io.Writer, piece []byte) bool {
	switch Cut(l.doomed.Load()) {
	case After:
		return false
	case Amid:
		_, _ = to.Write(piece[:len(piece)/2])
		return false
	}
	_, err := to.Write(piece)
	return err == nil
}

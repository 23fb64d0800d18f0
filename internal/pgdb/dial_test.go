package pgdb

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"
)

// TestAnAnswerIsReadWholeAmongMany: who looks for an answer between the turns of others gets all of it, hears of a deadline, and of the end.
func TestAnAnswerIsReadWholeAmongMany(t *testing.T) {
	t.Parallel()
	for name, others := range map[string]int{"alone": 0, "among many": 8 * runtime.GOMAXPROCS(0)} {
		t.Run(name, func(t *testing.T) {
			busy, rest := t.Context(), sync.WaitGroup{}
			t.Cleanup(rest.Wait)
			for range others {
				rest.Go(func() {
					for busy.Err() == nil {
						for turn := time.Now(); time.Since(turn) < idle; { //nolint:revive // it does what others do with a processor
						}
						runtime.Gosched()
					}
				})
			}
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			conn, err := dial(10*time.Second)(t.Context(), "tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, is := conn.(brief).Conn.(prompt); !is {
				t.Fatalf("%T does not look for itself", conn.(brief).Conn)
			}
			server, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			want := bytes.Repeat([]byte("an answer; "), 50_000)
			go func() {
				for piece := range bytes.SplitSeq(want, []byte("; ")) {
					_, _ = server.Write(append(piece, "; "[:min(2, len(piece))]...))
				}
			}()
			got := make([]byte, len(want))
			if _, err := io.ReadFull(conn, got); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%v; it is the same: %t", err, bytes.Equal(got, want))
			}
			_ = conn.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
			if _, err := conn.Read(got); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("at the deadline: %v", err)
			}
			_ = conn.SetReadDeadline(time.Time{})
			_ = server.Close()
			if n, err := conn.Read(got); n != 0 || !errors.Is(err, io.EOF) {
				t.Errorf("at the end: %d, %v", n, err)
			}
			_ = conn.Close()
			if _, err := conn.Read(got); !errors.Is(err, net.ErrClosed) {
				t.Errorf("when it is closed: %v", err)
			}
		})
	}
}

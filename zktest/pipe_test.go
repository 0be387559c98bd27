package zktest

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

func testPipe() (client, server net.Conn) {
	return newPipe(&net.TCPAddr{Port: 1}, &net.TCPAddr{Port: 2})
}

func TestPipeCarriesBytesBothWays(t *testing.T) {
	a, b := testPipe()
	sent := make([]byte, 5*pipeBuffer+123)
	rand.Read(sent)
	for _, ends := range [][2]net.Conn{{a, b}, {b, a}} {
		go func() { // ends when it has written all that the test reads
			ends[0].Write(sent)
			ends[0].(*pipeEnd).out.closeWriter()
		}()
		got, err := io.ReadAll(ends[1])
		if err != nil || !bytes.Equal(got, sent) {
			t.Fatalf("%d bytes came, %d were sent; %v", len(got), len(sent), err)
		}
	}
}

func TestPipeWriteDoesNotWaitForTheReader(t *testing.T) {
	a, b := testPipe()
	if n, err := a.Write(make([]byte, pipeBuffer)); n != pipeBuffer || err != nil {
		t.Fatal(n, err)
	}
	a.Close()
	if got, err := io.ReadAll(b); len(got) != pipeBuffer || err != nil {
		t.Fatalf("%d bytes after the writer closed, %v", len(got), err)
	}
}

func TestPipeDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := testPipe()
		defer a.Close()
		defer b.Close()
		began := time.Now()
		expect := func(what string, err error, after time.Duration) {
			t.Helper()
			var ne net.Error
			if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &ne) || !ne.Timeout() || time.Since(began) != after {
				t.Fatalf("%s: %v after %v, want a timeout after %v", what, err, time.Since(began), after)
			}
		}
		a.SetDeadline(began.Add(time.Second))
		_, err := a.Read(make([]byte, 1))
		expect("read", err, time.Second)
		_, err = a.Write(make([]byte, 1))
		expect("write after the deadline", err, time.Second)

		a.SetDeadline(time.Time{})
		b.SetReadDeadline(began.Add(time.Hour)) // the other end's deadlines are its own
		a.SetWriteDeadline(began.Add(3 * time.Second))
		n, err := a.Write(make([]byte, pipeBuffer+1))
		if n != pipeBuffer {
			t.Fatalf("%d bytes written", n)
		}
		expect("write into a full pipe", err, 3*time.Second)

		a.SetReadDeadline(began.Add(4 * time.Second))
		time.AfterFunc(500*time.Millisecond, func() { a.SetReadDeadline(began.Add(10 * time.Second)) })
		_, err = a.Read(make([]byte, 1))
		expect("read with a deadline that was moved", err, 10*time.Second)

		time.AfterFunc(time.Second, func() { a.SetReadDeadline(time.Unix(1, 0)) })
		a.SetReadDeadline(time.Time{})
		_, err = a.Read(make([]byte, 1))
		expect("read cut short by a deadline in the past", err, 11*time.Second)
	})
}

func TestPipeCloseWakesEverybody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := testPipe()
		results := make(chan error, 3)
		go func() { _, err := a.Read(make([]byte, 1)); results <- err }() // these end when the pipe is closed
		go func() { _, err := b.Read(make([]byte, 1)); results <- err }()
		go func() { _, err := a.Write(make([]byte, 2*pipeBuffer)); results <- err }()
		synctest.Wait()
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		var closed int
		for range 3 {
			switch err := <-results; {
			case errors.Is(err, net.ErrClosed):
				closed++
			case err != nil: // b has read a byte
				t.Fatal(err)
			}
		}
		if closed != 2 {
			t.Fatalf("%d of a's two calls ended with net.ErrClosed", closed)
		}
		if _, err := b.Write([]byte{1}); !errors.Is(err, io.ErrClosedPipe) {
			t.Fatalf("write to a closed end: %v", err)
		}
		b.Close()
		if err := b.SetDeadline(time.Now()); !errors.Is(err, net.ErrClosed) {
			t.Fatalf("deadline of a closed pipe: %v", err)
		}
	})
}

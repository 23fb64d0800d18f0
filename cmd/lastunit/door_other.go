//go:build !linux

package main

import "net"

func shutWhenEmpty(net.Listener) bool { return true }

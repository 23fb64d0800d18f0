//go:build !linux

package world

import "errors"

func (w *World) mount() { w.Log.Info("disks can't be filled on this system") }

func (w *World) fill(string) error { return errors.New("disks can't be filled on this system") }

func (w *World) empty() {}

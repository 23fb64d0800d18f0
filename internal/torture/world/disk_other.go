//go:build !linux

package world

import "errors"

func (w *World) mount() { w.Log.Info("the disk can't be filled on this system") }

func (w *World) fill() error { return errors.New("the disk can't be filled on this system") }

func (w *World) empty() {}

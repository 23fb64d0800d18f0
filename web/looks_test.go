//go:build looks

// What people look at, and not what must hold: make screenshots, make page-figures.
package web_test

import (
	"cmp"
	"image"
	"image/color"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

func looks(t *testing.T, args ...string) {
	t.Helper()
	buildClient(t)
	cmd := exec.CommandContext(t.Context(), "node", append([]string{"pages/test/looks.mjs"}, args...)...)
	cmd.Env = append(cmd.Environ(), "LASTUNIT_TEST_WORLDS="+serveWorlds(t), "LASTUNIT_COURSE_SECONDS=35")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
}

func TestPageFigures(t *testing.T) { looks(t, "figures") }

// TestScreenshots writes docs/screenshots.
func TestScreenshots(t *testing.T) {
	folder, err := filepath.Abs("../docs/screenshots")
	if err != nil {
		t.Fatal(err)
	}
	taken := t.TempDir()
	looks(t, "screenshots", taken)
	files, _ := filepath.Glob(taken + "/*.png")
	for _, file := range files {
		if err := shrink(file, filepath.Join(folder, filepath.Base(file))); err != nil {
			t.Error(err)
		}
	}
}

// shrink writes a picture anew, with its 256 most frequent colours.
func shrink(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	full, err := png.Decode(in)
	if err != nil {
		return err
	}
	small := image.NewPaletted(full.Bounds(), frequent(full))
	nearest := map[color.Color]uint8{}
	for y := full.Bounds().Min.Y; y < full.Bounds().Max.Y; y++ {
		for x := full.Bounds().Min.X; x < full.Bounds().Max.X; x++ {
			c := full.At(x, y)
			i, known := nearest[c]
			if !known {
				i = uint8(small.Palette.Index(c))
				nearest[c] = i
			}
			small.SetColorIndex(x, y, i)
		}
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	encoder := png.Encoder{CompressionLevel: png.BestCompression}
	if err := encoder.Encode(out, small); err != nil {
		return err
	}
	return out.Close()
}

// frequent picks a colour for each of the cells of colour space that most pixels lie in: the most frequent of the cell.
func frequent(full image.Image) color.Palette {
	type cell struct {
		pixels int
		colors map[color.RGBA]int
	}
	cells := map[color.RGBA]*cell{}
	for y := full.Bounds().Min.Y; y < full.Bounds().Max.Y; y++ {
		for x := full.Bounds().Min.X; x < full.Bounds().Max.X; x++ {
			r, g, b, _ := full.At(x, y).RGBA()
			c := color.RGBA{uint8(r >> 8), uint8(g >> 8), uint8(b >> 8), 255}
			key := color.RGBA{c.R >> 3, c.G >> 3, c.B >> 3, 0}
			if cells[key] == nil {
				cells[key] = &cell{colors: map[color.RGBA]int{}}
			}
			cells[key].pixels++
			cells[key].colors[c]++
		}
	}
	var all []*cell
	for _, c := range cells {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b *cell) int { return cmp.Compare(b.pixels, a.pixels) })
	var palette color.Palette
	for _, c := range all[:min(256, len(all))] {
		var most color.RGBA
		for one, n := range c.colors {
			if n > c.colors[most] {
				most = one
			}
		}
		palette = append(palette, most)
	}
	return palette
}

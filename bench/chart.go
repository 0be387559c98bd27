package main

import (
	"fmt"
	"os"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// A panel of the picture shows how a figure grows with the number of streams.
type panel struct {
	title, y string
	sizes    []int
	metric   func(n int) metric
	scale    func(n int) float64 // of the figure
}

// draw draws the picture, unless there is nothing to show.
func (b *bench) draw(file string) (bool, error) {
	const ms, mb = 1e-6, 1e-6
	panels := []panel{
		{"Streams on one node: write to last delivery", "ms", b.plan.fan,
			func(n int) metric { return fanOut("data", n) }, func(int) float64 { return ms }},
		{"A node for each stream: opening all", "ms", b.plan.open,
			func(n int) metric { return openTime("data", n) }, func(int) float64 { return ms }},
		{"A node for each stream: memory of all", "MB", b.plan.open,
			func(n int) metric { return openBytes("data", n) }, func(n int) float64 { return mb * float64(n) }},
	}
	plots := [][]*plot.Plot{{}}
	for _, p := range panels {
		pl, err := b.panel(p)
		if err != nil {
			return false, err
		}
		if pl == nil {
			return false, nil
		}
		plots[0] = append(plots[0], pl)
	}
	canvas := vgsvg.New(14*vg.Inch, 4.6*vg.Inch)
	tiles := draw.Tiles{Rows: 1, Cols: len(panels), PadX: vg.Points(20), PadTop: 8, PadBottom: 8, PadLeft: 8, PadRight: 8}
	for i, c := range plot.Align(plots, tiles, draw.New(canvas))[0] {
		plots[0][i].Draw(c)
	}
	f, err := os.Create(file)
	if err != nil {
		return false, err
	}
	defer f.Close()
	if _, err := canvas.WriteTo(f); err != nil {
		return false, err
	}
	return true, f.Close()
}

// panel returns nil if nothing was measured.
func (b *bench) panel(p panel) (*plot.Plot, error) {
	pl := plot.New()
	pl.Title.Text = p.title
	pl.X.Label.Text, pl.Y.Label.Text = "streams", p.y
	pl.X.Scale, pl.Y.Scale = plot.LogScale{}, plot.LogScale{}
	pl.X.Tick.Marker, pl.Y.Tick.Marker = powers{}, powers{}
	pl.Legend.Top, pl.Legend.Left = true, true
	pl.Add(plotter.NewGrid())
	any := false
	for i, peer := range b.peers {
		var points plotter.XYs
		for _, n := range p.sizes {
			if y, ok := b.results.median(p.metric(n), peer.name); ok && y > 0 {
				points = append(points, plotter.XY{X: float64(n), Y: y * p.scale(n)})
			}
		}
		if len(points) == 0 {
			continue
		}
		any = true
		line, marks, err := plotter.NewLinePoints(points)
		if err != nil {
			return nil, err
		}
		line.Color, marks.Color = plotutil.Color(i), plotutil.Color(i)
		line.Width = vg.Points(1.5)
		marks.Shape = plotutil.Shape(i)
		pl.Add(line, marks)
		pl.Legend.Add(peer.title, line, marks)
	}
	if !any {
		return nil, nil
	}
	return pl, nil
}

// powers marks the powers of ten.
type powers struct{}

func (powers) Ticks(low, high float64) (ticks []plot.Tick) {
	for x := 1e-6; x <= 10*high; x *= 10 {
		for k := 1.0; k < 10; k++ {
			if v := k * x; v >= low*0.999 && v <= high*1.001 {
				label := ""
				if k == 1 {
					label = fmt.Sprintf("%.6g", v)
				}
				ticks = append(ticks, plot.Tick{Value: v, Label: label})
			}
		}
	}
	return ticks
}

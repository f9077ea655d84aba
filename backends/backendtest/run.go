package backendtest

import (
	"context"
	"slices"
	"testing"
	"time"
)

// limit is the time that one case may take.
const limit = 2 * time.Minute

// testCase is one rule of the contract.
type testCase struct {
	name   string
	run    func(t *testing.T, e *env)
	faults bool // it needs Source.Faults
}

// faultCase is a case about answers that go wrong.
func faultCase(name string, run func(t *testing.T, e *env)) testCase {
	return testCase{name: "fault: " + name, run: run, faults: true}
}

// Cases gives the names of all cases.
func Cases() []string {
	var names []string
	for _, c := range allCases() {
		names = append(names, c.name)
	}
	return names
}

func allCases() []testCase {
	return slices.Concat(listCases(), oddCases(), readCases(), pinCases(), recordCases(), lifeCases(),
		kindCases(), answerCases(), healCases(), pageCases())
}

// Run runs all cases that apply to f, each on a source of its own.
func Run(t *testing.T, f Fixture) {
	names := Cases()
	for name, reason := range f.NotApplicable {
		if !slices.Contains(names, name) {
			t.Errorf("NotApplicable[%q]: no such case", name)
		}
		if reason == "" {
			t.Errorf("NotApplicable[%q]: no reason", name)
		}
	}
	for _, c := range allCases() {
		if f.NotApplicable[c.name] == "" && (!c.faults || f.NoFaults == "") {
			t.Run(c.name, func(t *testing.T) { runCase(t, f, c) })
		}
	}
}

func runCase(t *testing.T, f Fixture, c testCase) {
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	s := f.New(t)
	if c.faults && s.Faults == nil {
		t.Fatal("the source has no Faults, and the fixture does not say why")
	}
	e := &env{Source: s, Features: f.Features, ctx: ctx}
	defer func() {
		if err := s.Backend.Close(); err != nil && !e.closed {
			t.Errorf("Close: %v", err)
		}
	}()
	c.run(t, e)
}

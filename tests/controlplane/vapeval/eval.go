// Package vapeval says what the API server's own ValidatingAdmissionPolicy plugin says of CEL expressions on pods,
// and of policies on writes.
package vapeval

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
)

// A request first loads what is judged, then asks; its fields are handled in this order.
type request struct {
	// Pod manifests. Each is decoded into the API server's own type and answered as it would send it, without
	// managedFields; or with why it is no pod. They are taken as submitted: nothing is defaulted, and a pod with
	// defaults is loaded by writing them. What was loaded before is forgotten.
	Pods []json.RawMessage `json:"pods"`
	// Likewise. A unit names one by its number; a unit without one has no namespaceObject.
	Namespaces []json.RawMessage `json:"namespaces"`
	// Whether to list every function, overload and macro there is.
	Functions bool `json:"functions"`
	// What to compile, as stored expressions, and to evaluate on each pod that is loaded.
	Units []unit `json:"units"`
	// ValidatingAdmissionPolicies, each before its bindings. What was written before is forgotten.
	Objects []json.RawMessage `json:"objects"`
	// Whether they are written without type checks, which take seconds.
	Quick bool `json:"quick"`
	// Leases, which policies may have as their parameter. What was there before is forgotten.
	Params []json.RawMessage `json:"params"`
	// What these policies judge, in the namespaces that are loaded.
	Writes []change `json:"writes"`
	// How often each write is judged to tell what it costs; not at all if it is 0.
	Costs int `json:"costs"`
}

type answer struct {
	Fault      string       `json:"fault,omitempty"`
	Pods       []loaded     `json:"pods,omitempty"`
	Namespaces []loaded     `json:"namespaces,omitempty"`
	Units      []unitAnswer `json:"units,omitempty"`
	Functions  *functions   `json:"functions,omitempty"`
	Objects    []written    `json:"objects,omitempty"`
	Verdicts   []verdict    `json:"verdicts,omitempty"`
}

// A loaded object as the API server would send it, or why there is none.
type loaded struct {
	Object  map[string]any `json:"object,omitempty"`
	Refused string         `json:"refused,omitempty"`
}

// Run answers each request of in, a JSON object, with a line of JSON, until there are no more.
func Run(in io.Reader, out io.Writer) error {
	judge := newJudge()
	requests, lines := json.NewDecoder(bufio.NewReaderSize(in, 1<<20)), bufio.NewWriterSize(out, 1<<20)
	answers := json.NewEncoder(lines)
	answers.SetEscapeHTML(false)
	for requests.More() {
		var asked request
		if err := requests.Decode(&asked); err != nil {
			return fmt.Errorf("a request is a JSON object: %w", err)
		}
		given := answer{}
		if err := judge.answer(&asked, &given); err != nil {
			given = answer{Fault: err.Error()}
		}
		if err := answers.Encode(given); err != nil {
			return err
		}
		if err := lines.Flush(); err != nil {
			return err
		}
	}
	return nil
}

func (j *judge) answer(asked *request, given *answer) error {
	if asked.Pods != nil {
		j.pods, given.Pods = nil, make([]loaded, len(asked.Pods))
		for i, raw := range asked.Pods {
			pod, err := decodePod(raw)
			if err != nil {
				given.Pods[i].Refused = err.Error()
				continue
			}
			given.Pods[i].Object = pod.object
			j.pods = append(j.pods, pod)
		}
	}
	if asked.Namespaces != nil {
		j.namespaces, given.Namespaces = nil, make([]loaded, len(asked.Namespaces))
		for i, raw := range asked.Namespaces {
			namespace, err := decodeNamespace(raw)
			if err != nil {
				return fmt.Errorf("namespace %d: %w", i, err)
			}
			given.Namespaces[i].Object = namespace.object
			j.namespaces = append(j.namespaces, namespace)
		}
	}
	if asked.Functions {
		declared, err := j.declared()
		if err != nil {
			return err
		}
		given.Functions = declared
	}
	given.Units = make([]unitAnswer, len(asked.Units))
	parallel(len(asked.Units), func(i int) { given.Units[i] = j.unit(&asked.Units[i]) })
	if asked.Objects != nil {
		if j.hooks == nil {
			j.hooks = newHooks()
		}
		given.Objects = j.hooks.add(asked.Objects, asked.Quick)
	}
	if asked.Params != nil {
		if j.hooks == nil {
			j.hooks = newHooks()
		}
		if err := j.hooks.params.replace(asked.Params); err != nil {
			return err
		}
	}
	if asked.Writes != nil {
		if j.hooks == nil {
			return errors.New("there are no policies to judge by")
		}
		dispatcher := newDispatcher(j.namespaces)
		given.Verdicts = make([]verdict, len(asked.Writes))
		parallel(len(asked.Writes), func(i int) {
			given.Verdicts[i] = j.hooks.dispatch(context.Background(), dispatcher, &asked.Writes[i])
		})
		if asked.Costs > 0 {
			for i := range asked.Writes {
				if given.Verdicts[i].Refused == "" {
					given.Verdicts[i].Cost = j.hooks.cost(context.Background(), dispatcher, &asked.Writes[i], asked.Costs)
				}
			}
		}
	}
	return nil
}

// parallel calls a function with each number below count.
func parallel(count int, call func(int)) {
	var wait sync.WaitGroup
	next := make(chan int)
	for range runtime.GOMAXPROCS(0) {
		wait.Go(func() {
			for i := range next {
				call(i)
			}
		})
	}
	for i := range count {
		next <- i
	}
	close(next)
	wait.Wait()
}

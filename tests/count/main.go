// Counts what breaks two default checks, by itself: from the JSON of kubectl get, with nothing of podgate's. It reads a
// List of pods on standard input, and prints for each namespace how many violations forbidLatestTag and
// requireLivenessProbe have there: one for each workload, rule, and container.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

type pod struct {
	Metadata struct {
		Name            string
		Namespace       string
		Labels          map[string]string
		OwnerReferences []struct {
			Kind       string
			Name       string
			Controller bool
		}
	}
	Spec struct {
		RestartPolicy string
		Containers    []struct {
			Name          string
			Image         string
			LivenessProbe *struct{}
		}
	}
	Status struct{ Phase string }
}

// The Deployment of a ReplicaSet's pod, or else its controller, or else the pod itself.
func workload(p pod) string {
	for _, owner := range p.Metadata.OwnerReferences {
		if !owner.Controller {
			continue
		}
		hash := p.Metadata.Labels["pod-template-hash"]
		if name, cut := strings.CutSuffix(owner.Name, "-"+hash); cut && hash != "" && owner.Kind == "ReplicaSet" {
			return "Deployment/" + name
		}
		return owner.Kind + "/" + owner.Name
	}
	return "Pod/" + p.Metadata.Name
}

func isLatest(image string) bool {
	if strings.Contains(image, "@") {
		return false
	}
	last := image[strings.LastIndex(image, "/")+1:]
	_, tag, tagged := strings.Cut(last, ":")
	return !tagged || tag == "latest"
}

func main() {
	var list struct{ Items []pod }
	if err := json.NewDecoder(os.Stdin).Decode(&list); err != nil {
		fmt.Fprintln(os.Stderr, "no List of pods:", err)
		os.Exit(1)
	}
	seen := map[string]bool{}
	counts := map[string]int{}
	count := func(p pod, rule, container string) {
		key := p.Metadata.Namespace + " " + workload(p) + " " + rule + " " + container
		if !seen[key] {
			seen[key] = true
			counts[p.Metadata.Namespace]++
		}
	}
	for _, p := range list.Items {
		if p.Status.Phase == "Succeeded" || p.Status.Phase == "Failed" {
			continue
		}
		for _, container := range p.Spec.Containers {
			if isLatest(container.Image) {
				count(p, "forbidLatestTag", container.Name)
			}
			if container.LivenessProbe == nil && p.Spec.RestartPolicy == "Always" {
				count(p, "requireLivenessProbe", container.Name)
			}
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(counts); err != nil {
		os.Exit(1)
	}
}

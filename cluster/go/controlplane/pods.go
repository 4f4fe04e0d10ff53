package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	cri "k8s.io/cri-client/pkg"
)

// removePods stops and removes every pod sandbox of the container runtime at os.Args[1] (a unix:// endpoint), with its
// containers. Only the runtime knows how to undo what it did: shims, mounts, network namespaces and addresses.
func removePods() error {
	if len(os.Args) != 2 {
		return errors.New("usage: remove-pods unix:///path/of/containerd.sock")
	}
	runtime, err := cri.NewRemoteRuntimeService(os.Args[1], 30*time.Second, nil, nil)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	containers, err := runtime.ListContainers(ctx, nil)
	if err != nil {
		return err
	}
	var failures []error
	for _, container := range containers {
		// No grace: the cluster goes away, and a JVM would take its whole 30 s.
		failures = append(failures, runtime.StopContainer(ctx, container.Id, 0))
	}
	pods, err := runtime.ListPodSandbox(ctx, nil)
	if err != nil {
		return err
	}
	for _, pod := range pods {
		failures = append(failures, runtime.StopPodSandbox(ctx, pod.Id), runtime.RemovePodSandbox(ctx, pod.Id))
	}
	fmt.Printf("%d pods removed\n", len(pods))
	return errors.Join(failures...)
}

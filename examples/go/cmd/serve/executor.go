package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	pb "dovetail-example/dovetailv1"
)

var (
	errSilent = errors.New("the server was not heard for the length of the lease")
	errEnded  = errors.New("the server ended the stream")
)

// executor is what outlives a stream: the calls that are being carried out and the results that the server has not recorded.
// All of it belongs to the goroutine of attach; the goroutines of the calls only send to ended.
type executor struct {
	hello   *pb.Hello
	running map[string]context.CancelFunc
	results map[string]*pb.CallResult
	ended   chan *pb.CallResult

	heartbeat, lease time.Duration
}

func newExecutor(id string, parallel int) *executor {
	return &executor{
		hello: &pb.Hello{
			ExecutorId:       id,
			Tools:            []*pb.ToolSpec{wordCount},
			MaxParallelCalls: int32(parallel),
		},
		running: map[string]context.CancelFunc{},
		results: map[string]*pb.CallResult{},
		ended:   make(chan *pb.CallResult, parallel),
		lease:   10 * time.Second, // until the welcome says better
	}
}

func (e *executor) isIdle() bool { return len(e.running) == 0 && len(e.results) == 0 }

// attach serves on one stream. It returns nil once the executor was drained and has left, an error if the stream broke or was
// refused, and whether the server had welcomed it.
func (e *executor) attach(drain context.Context, service pb.ExecutorServiceClient) (welcomed bool, err error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	stream, err := service.Attach(ctx)
	if err != nil {
		return false, err
	}
	// Why a stream is broken is said by Recv, so errors of Send need no look.
	send := func(message *pb.AttachRequest) { _ = stream.Send(message) }

	// The server sends again what it had given out and we never saw.
	e.hello.KnownCallIds = slices.Concat(slices.Collect(maps.Keys(e.running)), slices.Collect(maps.Keys(e.results)))
	send(&pb.AttachRequest{Hello: e.hello})

	received, broken := make(chan *pb.AttachResponse), make(chan error, 1)
	go func() {
		for {
			message, err := stream.Recv()
			if err != nil {
				broken <- err
				return
			}
			select {
			case received <- message:
			case <-ctx.Done():
				return
			}
		}
	}()

	silence := time.NewTimer(e.lease)
	pulse := time.NewTicker(time.Hour) // set right by the welcome
	defer pulse.Stop()
	var draining <-chan struct{}
	var number int64                   // of our heartbeats, which the server sends back
	isQuiet, isLeaving := false, false // isQuiet: no further call will come
	for {
		select {
		case message := <-received:
			silence.Reset(e.lease)
			if welcome := message.GetWelcome(); welcome != nil {
				welcomed = true
				e.enter(welcome)
				pulse.Reset(e.heartbeat)
				silence.Reset(e.lease)
				send(&pb.AttachRequest{Results: slices.Collect(maps.Values(e.results))})
				draining = drain.Done()
			}
			if message.GetHeartbeat().GetNumber() != 0 {
				isQuiet = true
			}
			e.take(message)
		case result := <-e.ended:
			if cancel, ok := e.running[result.GetCallId()]; ok {
				cancel()
				delete(e.running, result.GetCallId())
				e.results[result.GetCallId()] = result // kept until it is recorded: the stream may break now
				send(&pb.AttachRequest{Results: []*pb.CallResult{result}})
			}
		case <-pulse.C:
			send(&pb.AttachRequest{Heartbeat: &pb.Heartbeat{Number: number}})
		case <-draining:
			// When this heartbeat has come back, the server has read the drain, and no further call is on its way.
			draining, number = nil, 1
			fmt.Println("draining")
			send(&pb.AttachRequest{Drain: &pb.Drain{}, Heartbeat: &pb.Heartbeat{Number: number}})
		case <-silence.C:
			return welcomed, errSilent
		case err := <-broken:
			if err == io.EOF && isLeaving {
				return welcomed, nil
			} else if err == io.EOF {
				return welcomed, errEnded
			}
			return welcomed, err
		}
		if isQuiet && e.isIdle() && !isLeaving {
			isLeaving = true
			send(&pb.AttachRequest{Goodbye: &pb.Goodbye{Reason: "drained"}})
			_ = stream.CloseSend()
		}
	}
}

// enter begins a session, or resumes the one that there was. What we know and the server does not want any more it cancels.
func (e *executor) enter(welcome *pb.Welcome) {
	e.hello.FencingNumber = welcome.GetFencingNumber()
	e.heartbeat, e.lease = welcome.GetHeartbeatInterval().AsDuration(), welcome.GetLease().AsDuration()
	fmt.Printf("serving %s as %s, resumed: %t\n", wordCount.GetName(), e.hello.GetExecutorId(), welcome.GetResumed())
}

// take does what a message says.
func (e *executor) take(message *pb.AttachResponse) {
	for _, id := range message.GetCancelledCallIds() {
		if cancel, ok := e.running[id]; ok {
			cancel()
			delete(e.running, id)
		}
		delete(e.results, id)
	}
	for _, call := range message.GetCalls() {
		e.begin(call)
	}
	for _, id := range message.GetRecordedCallIds() {
		delete(e.results, id)
	}
	for _, refused := range message.GetRefusedResults() {
		delete(e.results, refused.GetCallId())
	}
}

// begin carries out a call in a goroutine of its own. The server never has more out than max_parallel_calls.
func (e *executor) begin(call *pb.ExecutorCall) {
	if e.running[call.GetCallId()] != nil || e.results[call.GetCallId()] != nil {
		return // it comes again because a stream broke, and is known already
	}
	ctx, cancel := context.WithCancel(context.Background())
	if call.GetTimeout() != nil {
		ctx, cancel = context.WithTimeout(context.Background(), call.GetTimeout().AsDuration())
	}
	e.running[call.GetCallId()] = cancel
	go func() {
		outcome := carryOut(ctx, call)
		e.ended <- &pb.CallResult{CallId: call.GetCallId(), FencingNumber: call.GetFencingNumber(), Outcome: outcome}
	}()
}

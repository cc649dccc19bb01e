// Command ask puts a question to a Dovetail server and follows the run to its answer.
//
//	ask -server 127.0.0.1:50051 -question "How high is Mount Everest in feet?"
package main

import (
	"context"
	"crypto/rand"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"dovetail-example/connection"
	pb "dovetail-example/dovetailv1"
)

// How many attempts in a row may end without a new event before the server is given up.
const patience = 10

func main() {
	server := flag.String("server", "127.0.0.1:50051", "where the server is: HOST:PORT or unix:PATH")
	authorities := flag.String("ca", "", "PEM file of the authorities to trust; turns TLS on")
	question := flag.String("question", "", "what to ask")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := ask(ctx, *server, *authorities, *question); err != nil {
		fmt.Fprintln(os.Stderr, "ask:", connection.Explain(err))
		os.Exit(1)
	}
}

func ask(ctx context.Context, server, authorities, question string) error {
	channel, err := connection.Open(server, authorities)
	if err != nil {
		return err
	}
	defer channel.Close()

	// The name of the run is ours to choose, so a request whose reply was lost can be repeated: it returns the same run.
	run := &run{id: "go-" + strings.ToLower(rand.Text()), question: question}
	runs := pb.NewRunServiceClient(channel)
	for failures := 0; ; failures++ {
		before := run.sequence
		err := run.follow(ctx, runs)
		if err == nil {
			break
		}
		if run.sequence > before {
			failures = 0
		}
		// A run belongs to the server and goes on without us. Of all codes only UNAVAILABLE may be different next time.
		if status.Code(err) != codes.Unavailable || failures >= patience {
			return err
		}
		fmt.Fprintf(os.Stderr, "attaching again behind event %d: %s\n", run.sequence, connection.Explain(err))
		connection.Pause(ctx, failures)
	}

	if run.answer == nil {
		return fmt.Errorf("the run has no answer: %s: %s", run.failure.GetReason(), run.failure.GetMessage())
	}
	fmt.Println(run.answer.GetAnswer())
	return nil
}

// run is what this client knows of its run.
type run struct {
	id, question string
	sequence     int64 // of the last event seen
	answer       *pb.RunAnswered
	failure      *pb.Failure
}

// follow creates the run unless that is known to be done, and watches it from where it was last seen. It returns nil behind the
// run's last event.
func (r *run) follow(ctx context.Context, runs pb.RunServiceClient) error {
	if r.sequence == 0 {
		if _, err := runs.CreateRun(ctx, &pb.CreateRunRequest{RunId: r.id, Question: r.question}); err != nil {
			return err
		}
	}
	stream, err := runs.WatchRun(ctx, &pb.WatchRunRequest{RunId: r.id, AfterSequence: r.sequence})
	if err != nil {
		return err
	}
	for {
		// Events come in batches: as many as were at hand.
		message, err := stream.Recv()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		for _, event := range message.GetEvents() {
			r.take(event)
		}
	}
}

// take remembers what matters of an event, and prints it.
func (r *run) take(event *pb.Event) {
	r.sequence = event.GetSequence()
	switch fact := event.GetFact().(type) {
	case *pb.Event_RunAnswered:
		r.answer = fact.RunAnswered
	case *pb.Event_RunEnded:
		r.failure = fact.RunEnded.GetFailure()
	}
	fmt.Printf("%3d %s\n", event.GetSequence(), strings.TrimSpace(name(event)+" "+detail(event)))
}

// name is that of the event's fact, such as task_planned. A later version of the server may record facts that we do not know.
func name(event *pb.Event) string {
	message := event.ProtoReflect()
	if field := message.WhichOneof(message.Descriptor().Oneofs().ByName("fact")); field != nil {
		return string(field.Name())
	}
	return "unknown"
}

// detail is what is worth reading of some facts.
func detail(event *pb.Event) string {
	switch fact := event.GetFact().(type) {
	case *pb.Event_ThoughtWritten:
		return fact.ThoughtWritten.GetText()
	case *pb.Event_TaskPlanned:
		return fmt.Sprintf("%d %s", fact.TaskPlanned.GetTaskId(), fact.TaskPlanned.GetTool())
	case *pb.Event_TaskReady:
		return fmt.Sprintf("%d %s", fact.TaskReady.GetTaskId(), fact.TaskReady.GetArgumentsJson())
	case *pb.Event_CallStarted:
		return fmt.Sprintf("%d %s", fact.CallStarted.GetTaskId(), fact.CallStarted.GetExecutorId())
	case *pb.Event_TaskSucceeded:
		return fmt.Sprintf("%d %s", fact.TaskSucceeded.GetTaskId(), fact.TaskSucceeded.GetOutputJson())
	case *pb.Event_TaskFailed:
		return fmt.Sprintf("%d %s", fact.TaskFailed.GetTaskId(), fact.TaskFailed.GetFailure().GetMessage())
	case *pb.Event_AnswerText:
		return fact.AnswerText.GetText()
	}
	return ""
}

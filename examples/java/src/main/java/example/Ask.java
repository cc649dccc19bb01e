package example;

import dovetail.v1.CreateRunRequest;
import dovetail.v1.Event;
import dovetail.v1.Failure;
import dovetail.v1.RunServiceGrpc;
import dovetail.v1.RunServiceGrpc.RunServiceBlockingStub;
import dovetail.v1.WatchRunRequest;
import io.grpc.ManagedChannel;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.util.Locale;
import java.util.UUID;

/**
 * Puts a question to a Dovetail server and follows the run to its answer.
 *
 * <pre>java -cp 'target/classes:target/dependency/*' example.Ask --server 127.0.0.1:50051 --question "…"</pre>
 */
public final class Ask {
  // How many attempts in a row may end without a new event before the server is given up.
  private static final int PATIENCE = 10;

  private final RunServiceBlockingStub runs;
  private final CreateRunRequest request;

  private long sequence; // of the last event seen
  private String answer;
  private Failure failure = Failure.getDefaultInstance();

  private Ask(ManagedChannel channel, String question) {
    runs = RunServiceGrpc.newBlockingStub(channel);
    // The name of the run is ours to choose, so a request whose reply was lost can be repeated: it returns the same run.
    request = CreateRunRequest.newBuilder().setRunId("java-" + UUID.randomUUID()).setQuestion(question).build();
  }

  public static void main(String[] arguments) throws Exception {
    String server = Connection.option(arguments, "server", "127.0.0.1:50051");
    String authorities = Connection.option(arguments, "ca", null);
    String question = Connection.option(arguments, "question", "");

    ManagedChannel channel = Connection.open(server, authorities);
    try {
      System.out.println(new Ask(channel, question).answer());
    } catch (StatusRuntimeException | IllegalStateException refused) {
      System.err.println("ask: " + Connection.explain(refused));
      System.exit(1);
    } finally {
      channel.shutdownNow();
    }
  }

  private String answer() throws InterruptedException {
    for (int failures = 0; ; failures++) {
      long before = sequence;
      try {
        follow();
        break;
      } catch (StatusRuntimeException error) {
        if (sequence > before) {
          failures = 0;
        }
        // A run belongs to the server and goes on without us. Of all codes only UNAVAILABLE may be different next time.
        if (error.getStatus().getCode() != Status.Code.UNAVAILABLE || failures >= PATIENCE) {
          throw error;
        }
        System.err.println("attaching again behind event " + sequence + ": " + Connection.explain(error));
        Connection.pause(failures);
        ((ManagedChannel) runs.getChannel()).resetConnectBackoff();
      }
    }
    if (answer == null) {
      throw new IllegalStateException("the run has no answer: " + failure.getReason() + ": " + failure.getMessage());
    }
    return answer;
  }

  /**
   * Creates the run unless that is known to be done, and watches it from where it was last seen. Returns behind the run's last
   * event.
   */
  private void follow() {
    if (sequence == 0) {
      runs.createRun(request);
    }
    var watch = WatchRunRequest.newBuilder().setRunId(request.getRunId()).setAfterSequence(sequence).build();
    // Events come in batches: as many as were at hand.
    runs.watchRun(watch).forEachRemaining(message -> message.getEventsList().forEach(this::take));
  }

  /** Remembers what matters of an event, and prints it. */
  private void take(Event event) {
    sequence = event.getSequence();
    if (event.hasRunAnswered()) {
      answer = event.getRunAnswered().getAnswer();
    } else if (event.hasRunEnded()) {
      failure = event.getRunEnded().getFailure();
    }
    // A later version of the server may record facts that we do not know: FACT_NOT_SET.
    String fact = event.getFactCase().name().toLowerCase(Locale.ROOT);
    System.out.printf("%3d %s%n", sequence, (fact + " " + detail(event)).strip());
  }

  /** What is worth reading of some facts. */
  private static String detail(Event event) {
    return switch (event.getFactCase()) {
      case THOUGHT_WRITTEN -> event.getThoughtWritten().getText();
      case TASK_PLANNED -> event.getTaskPlanned().getTaskId() + " " + event.getTaskPlanned().getTool();
      case TASK_READY -> event.getTaskReady().getTaskId() + " " + event.getTaskReady().getArgumentsJson();
      case CALL_STARTED -> event.getCallStarted().getTaskId() + " " + event.getCallStarted().getExecutorId();
      case TASK_SUCCEEDED -> event.getTaskSucceeded().getTaskId() + " " + event.getTaskSucceeded().getOutputJson();
      case TASK_FAILED -> event.getTaskFailed().getTaskId() + " " + event.getTaskFailed().getFailure().getMessage();
      case ANSWER_TEXT -> event.getAnswerText().getText();
      default -> "";
    };
  }
}

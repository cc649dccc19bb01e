package example;

import dovetail.v1.ExecutorServiceGrpc;
import io.grpc.ManagedChannel;
import io.grpc.Status;
import java.net.InetAddress;
import java.util.Set;

/**
 * An executor: attaches to a Dovetail server and serves the tool word_count to its plans.
 *
 * <pre>java -cp 'target/classes:target/dependency/*' example.Serve --server 127.0.0.1:50051</pre>
 *
 * SIGTERM and Ctrl-C drain it: what it is doing is finished, then it leaves.
 */
public final class Serve {
  // With these codes the same hello would meet the same refusal again.
  private static final Set<Status.Code> FINAL =
      Set.of(
          Status.Code.INVALID_ARGUMENT,
          Status.Code.UNAUTHENTICATED,
          Status.Code.PERMISSION_DENIED,
          Status.Code.ALREADY_EXISTS,
          Status.Code.FAILED_PRECONDITION);

  private Serve() {}

  public static void main(String[] arguments) throws Exception {
    String server = Connection.option(arguments, "server", "127.0.0.1:50051");
    String authorities = Connection.option(arguments, "ca", null);
    int parallel = Integer.parseInt(Connection.option(arguments, "max-parallel", "8"));

    // The same as long as the process lives, so that a broken session can be resumed, and another one in each process.
    String id = InetAddress.getLocalHost().getHostName() + "-java-" + ProcessHandle.current().pid();
    var executor = new Executor(id, parallel);
    Thread main = Thread.currentThread();
    Runtime.getRuntime().addShutdownHook(new Thread(() -> {
      System.out.println("draining");
      executor.drain();
      try {
        main.join();
      } catch (InterruptedException stopped) {
        Thread.currentThread().interrupt();
      }
    }));
    int status = serve(executor, Connection.open(server, authorities));
    // Unlike exit, halt ends a process that is shutting down already, and so decides the status of a drained one.
    Runtime.getRuntime().halt(status);
  }

  /** Attaches, and attaches again whenever the stream breaks, until the executor is drained. */
  private static int serve(Executor executor, ManagedChannel channel) throws InterruptedException {
    for (int failures = 0; ; failures++) {
      Throwable error = executor.attach(ExecutorServiceGrpc.newStub(channel));
      if (error == null) {
        return 0;
      }
      if (isFinal(error)) {
        System.err.println("serve: " + Connection.explain(error));
        return 1;
      }
      if (executor.isDone()) {
        return 0;
      }
      if (executor.wasWelcomed()) {
        failures = 0;
      }
      System.err.println("attaching again: " + Connection.explain(error));
      Connection.pause(failures);
      channel.resetConnectBackoff();
    }
  }

  private static boolean isFinal(Throwable error) {
    // Another process attached under our executor id: to fight it for the session would help nobody.
    return FINAL.contains(Status.fromThrowable(error).getCode())
        || Connection.reason(error).equals("SESSION_TAKEN_OVER");
  }
}

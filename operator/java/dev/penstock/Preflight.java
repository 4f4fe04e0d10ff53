package dev.penstock;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.stream.Stream;

import org.apache.flink.api.common.JobExecutionResult;
import org.apache.flink.api.common.JobID;
import org.apache.flink.api.common.JobStatus;
import org.apache.flink.client.ClientUtils;
import org.apache.flink.client.program.PackagedProgram;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.core.execution.JobClient;
import org.apache.flink.core.execution.PipelineExecutor;
import org.apache.flink.core.execution.PipelineExecutorFactory;
import org.apache.flink.core.execution.PipelineExecutorServiceLoader;
import org.apache.flink.core.fs.FileSystem;
import org.apache.flink.core.plugin.PluginUtils;
import org.apache.flink.runtime.OperatorIDPair;
import org.apache.flink.runtime.jobgraph.JobGraph;
import org.apache.flink.runtime.jobgraph.JobVertex;
import org.apache.flink.streaming.api.graph.StreamGraph;

/**
 * Makes the job graph of a program without executing it, and says which operators with state it has no place for.
 *
 * <p>Its arguments are the file for the answer, the operators that have state ({@code id:max parallelism}, the id in hex,
 * with commas between them), and then those of the JobManager. Flink's own entry point finds the program from these, and the program runs as it does
 * there, up to the point where it submits its first job: an application has only one. A script goes on to its end, with a
 * job that does not exist, so that what is wrong behind its INSERT is found, too. No JobMaster is ever made, so no
 * coordinator of a sink is reset or commits anything.
 *
 * <p>It runs on the Flink of the job's image, from 1.20 on: what it calls by name is the same in all of them.
 */
public final class Preflight implements PipelineExecutorServiceLoader, PipelineExecutorFactory {
    private static final String ENTRY_POINT =
            "org.apache.flink.container.entrypoint.StandaloneApplicationClusterEntryPoint";
    private static final String PARSER =
            "org.apache.flink.container.entrypoint.StandaloneApplicationClusterConfigurationParserFactory";
    private static final String NAME = "penstock-preflight";
    /** Kubernetes keeps 4096 bytes of a container's last message; an id and its end of line are 33. */
    private static final int MOST_IDS = 100;
    private static final int MOST_UNFIT = 3;
    private static final int MOST_CHARACTERS = 900;

    private static final String SCRIPT_DRIVER = "org.apache.flink.table.runtime.application.SqlDriver";
    /** How Flink names the sink of a SELECT. */
    private static final String PRINTED = "Collect table sink";
    private static final String TWO_JOBS =
            "the script has more than one job, and an application has one: write one INSERT, or EXECUTE STATEMENT SET"
                    + " BEGIN ... END around all of them";
    private static final String SELECTS =
            "a SELECT without INSERT is a job of its own, which prints its result for ever: leave it out, or write"
                    + " INSERT INTO a table in front of it";

    private final Path answer;
    /** The max parallelism of the state of each operator that has one, by the operator's id. */
    private final Map<String, Integer> withState;

    /** Whether the program is a script, which does nothing but its statements. */
    private boolean script;
    /** What is to be said of the first job of a script, when nothing goes wrong behind it. */
    private String first;

    private Preflight(Path answer, Map<String, Integer> withState) {
        this.answer = answer;
        this.withState = withState;
    }

    public static void main(String[] arguments) throws Exception {
        Map<String, Integer> states = new LinkedHashMap<>();
        for (String each : arguments[1].split(",")) {
            if (!each.isEmpty()) {
                String[] parts = each.split(":");
                states.put(parts[0], Integer.valueOf(parts[1]));
            }
        }
        Preflight preflight = new Preflight(Path.of(arguments[0]), states);
        try {
            preflight.run(Arrays.copyOfRange(arguments, 2, arguments.length));
            String nothing = "failed\nthe program ended without having submitted a job: it needs an INSERT";
            preflight.end(preflight.first != null ? preflight.first : nothing);
        } catch (Throwable error) {
            error.printStackTrace();
            preflight.end("failed\n" + words(error));
        }
    }

    private void run(String[] arguments) throws Exception {
        Object parser = Class.forName(PARSER).getConstructor().newInstance();
        Class<?> utilities = Class.forName("org.apache.flink.runtime.entrypoint.ClusterEntrypointUtils");
        Object given = call(utilities, "parseParametersOrExit", arguments, parser, getClass());
        Class<?> entryPoint = Class.forName(ENTRY_POINT);
        Configuration configuration = (Configuration) call(entryPoint, "loadConfigurationFromClusterConfig", given);
        FileSystem.initialize(configuration, PluginUtils.createPluginManagerFromRootFolder(configuration));
        PackagedProgram program = (PackagedProgram) call(entryPoint, "getPackagedProgram", given, configuration);
        call(entryPoint.getSuperclass(), "configureExecution", configuration, program);
        script = program.getMainClassName().equals(SCRIPT_DRIVER);
        ClientUtils.executeProgram(this, configuration, program, false, false);
    }

    /** Calls a static method, private or not; the error that it throws is thrown as it is. */
    private static Object call(Class<?> owner, String name, Object... arguments) throws Exception {
        for (Method method : owner.getDeclaredMethods()) {
            if (method.getName().equals(name) && method.getParameterCount() == arguments.length) {
                method.setAccessible(true);
                try {
                    return method.invoke(null, arguments);
                } catch (InvocationTargetException error) {
                    throw error.getCause() instanceof Exception ? (Exception) error.getCause() : error;
                }
            }
        }
        throw new NoSuchMethodException(owner.getName() + "." + name + ": this Flink is not known to the preflight");
    }

    @Override
    public PipelineExecutorFactory getExecutorFactory(Configuration configuration) {
        return this;
    }

    @Override
    public Stream<String> getExecutorNames() {
        return Stream.of(NAME);
    }

    @Override
    public String getName() {
        return NAME;
    }

    @Override
    public boolean isCompatibleWith(Configuration configuration) {
        return true;
    }

    /** Where a program's job arrives: its graph is made, compared, and nothing of the program goes on but a script. */
    @Override
    public PipelineExecutor getExecutor(Configuration configuration) {
        return (pipeline, settings, classLoader) -> {
            String text;
            try {
                JobGraph graph = ((StreamGraph) pipeline).getJobGraph(classLoader, new JobID());
                String wrong = prints(graph) ? SELECTS : first != null ? TWO_JOBS : "";
                text = wrong.isEmpty() ? compare(graph) : "failed\n" + wrong;
            } catch (Throwable error) {
                error.printStackTrace();
                text = "failed\n" + words(error);
            }
            if (!script || text.startsWith("failed")) {
                end(text);
            }
            first = text;
            return CompletableFuture.completedFuture(nobody());
        };
    }

    private static boolean prints(JobGraph graph) {
        for (JobVertex vertex : graph.getVertices()) {
            if (vertex.getName().contains(PRINTED)) {
                return true;
            }
        }
        return false;
    }

    /** The client of a job that does not exist: it has an id, and is over. */
    private static JobClient nobody() {
        JobID id = new JobID();
        JobExecutionResult result = new JobExecutionResult(id, 0, Collections.emptyMap());
        return (JobClient)
                Proxy.newProxyInstance(
                        JobClient.class.getClassLoader(),
                        new Class<?>[] {JobClient.class},
                        (self, method, arguments) -> {
                            switch (method.getName()) {
                                case "getJobID":
                                    return id;
                                case "getJobStatus":
                                    return CompletableFuture.completedFuture(JobStatus.FINISHED);
                                case "getJobExecutionResult":
                                    return CompletableFuture.completedFuture(result);
                                default:
                                    throw new UnsupportedOperationException(method.getName());
                            }
                        });
    }

    private String compare(JobGraph graph) {
        Set<String> found = new HashSet<>();
        List<String> unfit = new ArrayList<>();
        int operators = 0;
        for (JobVertex vertex : graph.getVertices()) {
            for (OperatorIDPair pair : vertex.getOperatorIDs()) {
                operators++;
                // As Flink looks for an operator's state: by the id that its uid or its place makes, or by a hash that
                // its author has set.
                String generated = pair.getGeneratedOperatorID().toHexString();
                String given = pair.getUserDefinedOperatorID().map(id -> id.toHexString()).orElse(generated);
                found.add(generated);
                found.add(given);
                split(vertex, withState.containsKey(given) ? given : generated, unfit);
                System.err.println("operator " + pair.getGeneratedOperatorID().toHexString() + " of " + vertex.getName());
            }
        }
        List<String> missing = new ArrayList<>(withState.keySet());
        missing.removeAll(found);
        List<String> lines = new ArrayList<>(missing.subList(0, Math.min(missing.size(), MOST_IDS)));
        lines.addAll(unfit.subList(0, Math.min(unfit.size(), MOST_UNFIT)));
        return "graph " + operators + " " + missing.size() + "\n" + String.join("\n", lines);
    }

    /** What Flink looks at before it gives a vertex its state; a max parallelism that nobody has set becomes the state's. */
    private void split(JobVertex vertex, String id, List<String> unfit) {
        Integer most = withState.get(id);
        if (most == null) {
            return;
        }
        if (vertex.getParallelism() > most) {
            unfit.add("wide " + id + " " + vertex.getParallelism() + " " + most);
        } else if (vertex.getMaxParallelism() > 0 && vertex.getMaxParallelism() != most) {
            unfit.add("max " + id + " " + vertex.getMaxParallelism() + " " + most);
        }
    }

    /** The last messages of an error and its causes, each in one line, without those that an earlier one holds. */
    private static String words(Throwable error) {
        List<String> lines = new ArrayList<>();
        for (Throwable each = error; each != null; each = each.getCause()) {
            String message = each.getMessage() == null ? "" : each.getMessage().strip().replaceAll("\\s+", " ");
            message = message.replaceAll(" ?Was expecting (one of)?:.*", "");
            boolean says = !message.isEmpty() && !message.endsWith(": null");
            String line = says ? message : each.getCause() == null ? each.getClass().getName() : "";
            if (!line.isEmpty() && lines.stream().noneMatch(known -> known.contains(line))) {
                lines.add(line);
            }
        }
        String text = String.join("\n", lines.subList(Math.max(0, lines.size() - 3), lines.size()));
        return text.substring(0, Math.min(text.length(), MOST_CHARACTERS));
    }

    private void end(String text) throws java.io.IOException {
        Files.writeString(answer, text);
        // At once: what the program has begun must not go on, and none of its threads is waited for.
        Runtime.getRuntime().halt(0);
    }
}

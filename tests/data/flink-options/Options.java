import java.lang.reflect.Field;
import java.lang.reflect.Modifier;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.TreeMap;
import java.util.jar.JarEntry;
import java.util.jar.JarFile;

/** Prints every option that the classes of Flink's jars declare: a line with its key and its older names. */
public final class Options {
    /** Not a job's: what connectors, formats and gateways call their own options, and the libraries inside of Flink. */
    private static final String OTHERS =
            "org/apache/flink/(.*/)?(shaded|formats|connector|connectors|cep|optimizer|sql"
                    + "|table/(catalog|factories|filesystem|gateway|connector|planner|runtime|codesplit|client|functions"
                    + "|workflow|refresh|resource)|streaming/(api/graph|experimental))/.*";

    public static void main(String[] jars) throws Exception {
        List<URL> urls = new ArrayList<>();
        for (String jar : jars) {
            urls.add(Path.of(jar).toUri().toURL());
        }
        URLClassLoader loader = new URLClassLoader(urls.toArray(new URL[0]), Options.class.getClassLoader());
        Thread.currentThread().setContextClassLoader(loader);
        Class<?> option = Class.forName("org.apache.flink.configuration.ConfigOption", true, loader);
        TreeMap<String, String> found = new TreeMap<>();
        for (String jar : jars) {
            try (JarFile file = new JarFile(jar)) {
                for (Iterator<JarEntry> each = file.entries().asIterator(); each.hasNext(); ) {
                    String name = each.next().getName();
                    if (name.endsWith(".class") && name.startsWith("org/apache/flink/") && !name.matches(OTHERS)) {
                        read(name.substring(0, name.length() - 6).replace('/', '.'), loader, option, found);
                    }
                }
            }
        }
        found.forEach((key, older) -> System.out.println(key + older));
    }

    private static void read(String name, ClassLoader loader, Class<?> option, TreeMap<String, String> found)
            throws Exception {
        Field[] fields;
        try {
            fields = Class.forName(name, false, loader).getDeclaredFields();
        } catch (Throwable missing) {
            return; // it is made for a library that is not there
        }
        for (Field field : fields) {
            if (!Modifier.isStatic(field.getModifiers()) || !option.isAssignableFrom(field.getType())) {
                continue;
            }
            Object value;
            try {
                field.setAccessible(true);
                value = field.get(null);
            } catch (Throwable error) {
                System.err.println(name + " " + field.getName() + ": " + error);
                continue;
            }
            if (value == null) {
                continue;
            }
            StringBuilder older = new StringBuilder();
            for (Object key : (Iterable<?>) option.getMethod("fallbackKeys").invoke(value)) {
                older.append(' ').append(key.getClass().getMethod("getKey").invoke(key));
            }
            String key = (String) option.getMethod("key").invoke(value);
            found.merge(key, older.toString(), (one, other) -> one.equals(other) ? one : one + other);
        }
    }
}

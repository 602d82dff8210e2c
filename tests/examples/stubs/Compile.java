import java.util.ArrayList;
import java.util.List;
import org.jetbrains.kotlin.cli.common.ExitCode;
import org.jetbrains.kotlin.cli.jvm.K2JVMCompiler;

/** Compiles Kotlin several times in one process: arguments of kotlinc, and -- between. */
class Compile {
    public static void main(String[] arguments) {
        List<String> some = new ArrayList<>();
        for (String argument : arguments) {
            if (!argument.equals("--")) {
                some.add(argument);
                continue;
            }
            ExitCode code = new K2JVMCompiler().exec(System.err, some.toArray(new String[0]));
            if (code != ExitCode.OK) System.exit(code.getCode());
            some.clear();
        }
    }
}

// The command line. CLI11 is included here only, and nothing of it runs for `fathom serve`.
#include <CLI/CLI.hpp>
#include <functional>

#include "cli/commands.h"
#include "cli/logo.h"
#include "cli/print.h"

namespace fathom::cli {
namespace {

constexpr const char* kFooter = R"(The platform itself:
  serve                       Run it (fathom serve --help)

Begin with:
  fathom serve
  fathom deploy -f stack.yml
  echo hello | fathom invoke NAME

Every command explains itself: fathom deploy --help)";

// What those who know faas-cli try first.
std::string_view hint_for(std::string_view verb) {
    for (const auto one_step : {"up", "build", "push", "publish"})
        if (verb == one_step) return ": \"fathom deploy\" packs, compiles and deploys in one step";
    for (const auto missing : {"secret", "store", "template", "new", "namespace"})
        if (verb == missing) return ", not yet; functions are deployed from a stack file";
    return "";
}

class CommandLine {
public:
    explicit CommandLine(Ports& ports) : ports_(ports) {
        app_.name("fathom");
        app_.footer(kFooter);
        app_.require_subcommand(0, 1);
        add_deploy();
        add_list();
        add_describe();
        add_invoke();
        add_logs();
        add_remove();
        add_login();
        add_doctor();
        add_version();
    }

    int run(std::vector<std::string> arguments) {
        // The way people ask programs they do not know.
        if (arguments == std::vector<std::string>{"help"}) arguments = {"--help"};
        if (arguments == std::vector<std::string>{"--version"})
            arguments = {"version", "--short-version"};
        try {
            std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
            app_.parse(std::move(reversed));
        } catch (const CLI::CallForHelp&) {
            put(ports_.out, help());
            return 0;
        } catch (const CLI::ParseError& error) {
            return wrong(arguments, error.what());
        }
        if (!command_) {
            print(ports_, "{}\n{}", kLogo, help());
            return 0;
        }
        auto done = command_();
        std::fflush(ports_.out);
        if (done) return 0;
        note(ports_, "{}\n",
             coloured(ports_, Stream::err, Colour::red, capitalised(done.error().message())));
        return facts(done.error().code()).exit_code;
    }

private:
    std::string help() const {
        const auto chosen = app_.get_subcommands();
        return chosen.empty() ? app_.help() : chosen.front()->help("fathom");
    }

    int wrong(const std::vector<std::string>& arguments, std::string what) const {
        const auto chosen = app_.get_subcommands();
        const bool is_verb_unknown =
            chosen.empty() && !arguments.empty() && !arguments.front().starts_with('-');
        if (is_verb_unknown)
            what = fmt::format("\"{}\" is no command of fathom{}", arguments.front(),
                               hint_for(arguments.front()));
        note(ports_, "{}\nSee: fathom {}--help\n",
             coloured(ports_, Stream::err, Colour::red, capitalised(what)),
             chosen.empty() ? "" : chosen.front()->get_name() + " ");
        return 1;
    }

    template <class Options>
    CLI::App* add(const std::string& name, const std::string& what, Options& options,
                  Result<> (*run)(Ports&, const Options&)) {
        auto* command = app_.add_subcommand(name, what);
        command->callback([this, &options, run] {
            command_ = [this, &options, run] { return run(ports_, options); };
        });
        command->footer("");
        add_common(*command, options.common);
        return command;
    }

    // faas-cli has these on every command.
    static void add_common(CLI::App& command, Common& common) {
        constexpr const char* kGroup = "Everywhere";
        const auto add = [&](const char* names, const char* value, std::string& into,
                             const char* what) {
            command.add_option(names, into, what)->group(kGroup)->type_name(value);
        };
        add("-f,--yaml", "FILE", common.yaml, "Stack file (default stack.yaml, then stack.yml)");
        add("--regex", "REGEX", common.regex,
            "Only functions of the stack file whose name matches");
        add("--filter", "PATTERN", common.filter, "The same with a pattern: \"resize-*\"");
        add("-g,--gateway", "URL", common.gateway,
            "Gateway URL (default: the stack file's, $OPENFAAS_URL, http://127.0.0.1:8080)");
        add("-n,--namespace", "NAME", common.space, "Namespace of the function");
        add("-k,--token", "TOKEN", common.token, "Bearer token, where there is no login");
        command.add_flag("--envsubst", common.substitute, "Replace ${VAR} in the stack file")
            ->group(kGroup);
        command.add_flag("--strict", common.is_strict, "Warnings about the stack file are errors")
            ->group(kGroup);
        command.add_flag("--tls-no-verify")->group("");  // nothing to verify without TLS
    }

    static void add_list_option(CLI::App& command, const char* names,
                                std::vector<std::string>& into, const char* what) {
        command.add_option(names, into, what)->allow_extra_args(false)->type_name("VALUE");
    }

    void add_deploy() {
        auto& o = deploy_;
        auto* command = add("deploy", "Deploy the functions of a stack file, or one given by flags",
                            o, &deploy);
        command->add_option("--image", o.image, "Image or bundle to run instead of the handler")
            ->type_name("REFERENCE");
        command->add_option("--name", o.name, "Name of the function, without a stack file")
            ->type_name("NAME");
        command->add_option("--handler", o.handler, "Handler folder, without a stack file")
            ->type_name("FOLDER");
        command->add_option("--lang", o.language, "Its language: python3, node, cpp, bash")
            ->type_name("LANGUAGE");
        command->add_option("--fprocess", o.process, "Command that the watchdog runs")
            ->type_name("COMMAND");
        add_list_option(*command, "-e,--env", o.environment, "as NAME=VALUE; repeat for more");
        add_list_option(*command, "-l,--label", o.labels, "as NAME=VALUE; repeat for more");
        add_list_option(*command, "--annotation", o.annotations, "as NAME=VALUE; repeat for more");
        add_list_option(*command, "--constraint", o.constraints, "Where to run; repeat for more");
        add_list_option(*command, "--secret", o.secrets, "Secret it may read; repeat for more");
        command->add_option("--memory-limit", o.memory_limit, "128Mi, 1G, ...")->type_name("BYTES");
        command->add_option("--memory-request", o.memory_request, "128Mi, 1G, ...")
            ->type_name("BYTES");
        command->add_option("--cpu-limit", o.cpu_limit, "100m, 0.5, 2, ...")->type_name("CPU");
        command->add_option("--cpu-request", o.cpu_request, "100m, 0.5, 2, ...")->type_name("CPU");
        command->add_flag("--readonly", o.is_readonly, "Read-only root file system");
        // Given or not given is a difference here; --update=false counts as -1.
        command->add_flag_function(
            "--update", [&o](std::int64_t count) { o.update = count > 0; },
            "Update what is there (the default)");
        command->add_flag_function(
            "--replace", [&o](std::int64_t count) { o.replace = count > 0; },
            "Remove what is there first");
        command->add_flag("--wait", o.waits,
                          "Wait until the functions are ready (default; --wait=false)");
        command->add_option("--timeout", o.wait_max, "Wait at most so long")
            ->capture_default_str()
            ->type_name("DURATION");
        for (const auto* name : {"--network", "--tag"})  // of faas-cli, without a meaning here
            command->add_option(name, ignored_)->group("");
        command->add_flag("--read-template")->group("");
        command->footer(
            "Handler folders are packed and sent; C++ is compiled here first.\n"
            "  fathom deploy -f stack.yml --filter \"resize-*\" -e mode=http\n"
            "  fathom deploy --name up --handler ./up --fprocess \"tr a-z A-Z\"");
    }

    void add_list() {
        auto& o = list_;
        auto* command = add("list", "List functions", o, &list)->alias("ls");
        command->add_flag("-v,--verbose", o.is_verbose, "With images and times");
        command->add_flag("-q,--quiet", o.is_quiet, "Only names");
        command->add_option("--sort", o.order, "name, invocations or creation")
            ->capture_default_str()
            ->type_name("ORDER");
        command->add_flag("-j,--json", o.is_json, "As JSON");
    }

    void add_describe() {
        auto& o = describe_;
        auto* command = add("describe", "Show one function, and what troubles it", o, &describe);
        command->add_option("NAME", o.name, "The function")->type_name("")->required();
        command->add_flag("-v,--verbose", o.is_verbose, "Empty fields too");
        command->add_flag("-j,--json", o.is_json, "As JSON");
    }

    void add_invoke() {
        auto& o = invoke_;
        auto* command =
            add("invoke", "Call a function with what comes on standard input", o, &invoke);
        command->add_option("NAME", o.name, "The function")->type_name("")->required();
        command->add_option("--content-type", o.content_type, "Of the input")
            ->capture_default_str()
            ->type_name("TYPE");
        add_list_option(*command, "--query", o.queries, "as NAME=VALUE; repeat for more");
        add_list_option(*command, "-H,--header", o.headers, "\"Name: value\"; repeat for more");
        command->add_option("-m,--method", o.method, "HTTP method")
            ->capture_default_str()
            ->type_name("METHOD");
        command->add_flag("-a,--async", o.is_async, "Queue the call, and do not wait for it");
        command->add_flag("--auth", o.sends_credentials, "Send the login to the function, too");
        command->footer(
            "  echo hello | fathom invoke shout\n"
            "  fathom invoke thumbnail --query width=200 < photo.jpg > small.jpg");
    }

    void add_logs() {
        auto& o = logs_;
        auto* command = add("logs", "Show what a function prints", o, &logs);
        command->add_option("NAME", o.name, "The function")->type_name("")->required();
        command->add_option("--since", o.since, "Only of so long ago: 10m, 1h")
            ->type_name("DURATION");
        command->add_option("--since-time", o.since_time, "Only from then on (RFC 3339)")
            ->type_name("TIME");
        command->add_option("--lines", o.lines, "Only the last so many")
            ->capture_default_str()
            ->type_name("NUMBER");
        command->add_flag("-t,--tail", o.follows, "Follow (the default; --tail=false ends)");
        command->add_option("-o,--output", o.output, "plain, keyvalue or json")
            ->capture_default_str()
            ->type_name("FORM");
        command->add_flag("-j,--json", o.is_json, "As --output json");
        command->add_flag("--name", o.shows_name, "Show the function's name");
        command->add_flag("--instance", o.shows_instance, "Show the replica");
        command->add_option("--time-format", o.time_format, "As Go spells it; empty hides it")
            ->capture_default_str()
            ->type_name("LAYOUT");
    }

    void add_remove() {
        auto& o = remove_;
        auto* command = add("remove", "Remove a function, or all of a stack file", o, &remove)
                            ->alias("rm")
                            ->alias("delete");
        command->add_option("NAME", o.name, "The function")->type_name("");
    }

    void add_login() {
        auto& o = login_;
        auto* command = add("login", "Keep user and password of a gateway", o, &login);
        command->add_option("-u,--username", o.user, "User")
            ->capture_default_str()
            ->type_name("NAME");
        command->add_option("-p,--password", o.password, "Password; better is:");
        command->add_flag("-s,--password-stdin", o.reads_password, "Read it from standard input");
        command->add_option("--timeout", o.wait_max, "Wait at most so long")
            ->capture_default_str()
            ->type_name("DURATION");
        add("logout", "Forget user and password of a gateway", logout_, &logout);
    }

    void add_doctor() {
        auto& o = doctor_;
        auto* command =
            add("doctor", "Say what this machine can do, and what is missing", o, &doctor);
        command->add_flag("-j,--json", o.is_json, "As JSON");
    }

    void add_version() {
        auto& o = version_;
        auto* command =
            add("version", "Show the versions of this program and the gateway", o, &version);
        command->add_flag("--short-version", o.is_short, "Only this program's");
        command->add_flag("-j,--json", o.is_json, "As JSON");
        command->add_flag("--warn-update")->group("");
    }

    Ports& ports_;
    DeployOptions deploy_;
    RemoveOptions remove_;
    ListOptions list_;
    DescribeOptions describe_;
    InvokeOptions invoke_;
    LogsOptions logs_;
    LoginOptions login_;
    LogoutOptions logout_;
    VersionOptions version_;
    DoctorOptions doctor_;
    std::string ignored_;
    std::function<Result<>()> command_;
    CLI::App app_{"Functions as HTTP endpoints, on one machine."};
};

}  // namespace

int parse_and_run(const std::vector<std::string>& arguments, Ports& ports) {
    return CommandLine(ports).run(arguments);
}

}  // namespace fathom::cli

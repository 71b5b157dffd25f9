"""Every code that a diagnostic can have: what it means, what causes it, how to mend it.

``MG1``: the text of the file. ``MG2``: its keys and values. ``MG3``: rules across them. ``MG4``: the host.
A code keeps its meaning for good; one that is no longer used is not given to another fault.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Code:
    """What ``modelgrid explain`` says of a code. *warning*: it stops the pipeline only under ``--strict``."""

    title: str
    cause: str
    fix: str
    warning: bool = False


#: By code, in its order.
CODES: Final[Mapping[str, Code]] = {
    "MG1001": Code(
        "the file is not UTF-8",
        "A byte of the file is no UTF-8, or the file is UTF-16.",
        "Save the file as UTF-8. A byte order mark is allowed, and so are CRLF line ends.",
    ),
    "MG1002": Code(
        "the file is not YAML",
        "The text breaks YAML's grammar: a bracket or quote that is never closed, a line that is indented too far or"
        " too little, a value with a colon and a space in it.",
        "Look at the line that is shown and at the one above it; put text with special characters in quotes.",
    ),
    "MG1003": Code(
        "the file is too large",
        "The file has more than 10 MiB, or aliases and merge keys make more than 100000 values of it.",
        "Split the grid into several files, or use fewer aliases.",
    ),
    "MG1004": Code(
        "a tab indents a line",
        "YAML allows only spaces before the first word of a line.",
        "Replace the tab by spaces.",
    ),
    "MG1005": Code(
        "the file is nested too deeply",
        "Lists or mappings stand in each other more than 100 deep.",
        "Nothing in the language needs more than ten; look for brackets that are never closed.",
    ),
    "MG1006": Code(
        "there is more than one document",
        "A line of three dashes starts a second YAML document.",
        "Keep one document for each file.",
    ),
    "MG1007": Code(
        "the file has no keys",
        "The file is empty, holds only comments, or its top is a list or a single value.",
        "Start with `version: 1` and a `models` section; `modelgrid init` writes a first file.",
    ),
    "MG1008": Code(
        "a character cannot be seen",
        "The text holds a control character, a line separator other than LF and CRLF, or a mark that changes the"
        " direction of writing. A reviewer cannot see what it does.",
        "Remove it, or write it as an escape in double quotes where a value needs it.",
    ),
    "MG1009": Code(
        "a key is given twice",
        "A mapping has the same key on two lines. YAML readers differ in which one they keep.",
        "Remove one, or join the two.",
    ),
    "MG1010": Code(
        "a key is not text",
        "A key is a number, true, false, null, a list or a mapping.",
        "Put the key in quotes.",
    ),
    "MG1011": Code(
        "a value means different things to different YAML readers",
        "YAML 1.1 and 1.2 disagree on words like `on`, `yes` and `No` and on numbers like `012`, `1_000`, `0x1F` and"
        " `1:30`, and a number like `1.10` loses its last digit.",
        "Put it in quotes where text is meant; else write `true` or `false`, or the number in plain decimal form.",
    ),
    "MG1012": Code(
        "a tag is not allowed",
        "The text has a YAML tag (`!name`, `!!str`), which asks the reader for a type.",
        "Remove the tag; put text in quotes.",
    ),
    "MG1013": Code(
        "an alias leads nowhere",
        "A `*name` has no `&name` before it, or stands inside of what it names.",
        "Put the anchor before its first use, for example in an `x-` section at the top.",
    ),
    "MG1014": Code(
        "a merge key has nothing to merge",
        "The value of `<<` is not a mapping or a list of mappings, or a mapping has `<<` twice.",
        "Write `<<: *name`, or `<<: [*one, *two]` for several.",
    ),
    "MG2001": Code(
        "a key is unknown",
        "The section has no such key: it is misspelt, or indented into the wrong section.",
        "Correct it. Keys of your own start with `x-`.",
    ),
    "MG2002": Code(
        "a key is missing",
        "The section needs a key that is not there.",
        "Add it; `modelgrid schema` describes every key.",
    ),
    "MG2003": Code(
        "a value has the wrong type",
        "The key wants text and has a number, or wants a list and has text, and so on.",
        "Write what the message asks for. Text that looks like a number needs quotes.",
    ),
    "MG2004": Code(
        "a value is not one of those that are possible",
        "The key has a fixed set of values.",
        "Use one of them.",
    ),
    "MG2005": Code(
        "a text has the wrong form",
        "A name, size, duration, path or hash is not written as the language has it, or a text is empty or has a"
        " control character.",
        "Write it in the form that the message names.",
    ),
    "MG2006": Code(
        "a number or a list is out of range",
        "The value is smaller or larger, or the list shorter, than the key allows.",
        "Choose a value within the range.",
    ),
    "MG2007": Code(
        "the version is not supported",
        "`version` names a version of the language that this ModelGrid does not read.",
        "Write `version: 1`, or use the ModelGrid that the file was written for.",
    ),
    "MG2008": Code(
        "there are more faults",
        "The file has so many faults that only the first ones are shown.",
        "Mend those that are shown, and check again.",
    ),
    "MG2009": Code(
        "a value cannot be written in a unit",
        "The reader of the unit, systemd or podman's generator, has no spelling for the value: it has a control"
        " character, a quote or backslash where none can be escaped, or begins or ends with white space that is"
        " trimmed.",
        "Write the value in another way, or put it into a file that the server reads.",
    ),
    "MG3001": Code(
        "the engine is unknown",
        "A model names an engine that is neither built in nor declared under `engines`.",
        "Correct the name, or declare the engine.",
    ),
    "MG3002": Code(
        "a name is taken",
        "Two models answer to one name: an alias is the name or the alias of another model, or is given twice.",
        "Give each name to one model.",
    ),
    "MG3003": Code(
        "a port is taken",
        "Two models have the same `port`, or a model has the gateway's.",
        "Choose another port, or leave `port` out: a free one is found.",
    ),
    "MG3004": Code(
        "the gateway's address is malformed",
        "`listen` is not an IP address, a colon and a port.",
        "Write `127.0.0.1:8080`, `0.0.0.0:8080`, or `[::]:8080` for IPv6.",
    ),
    "MG3005": Code(
        "the gateway is open to the network without a key",
        "`listen` is not on loopback and `keys` is empty: everyone who reaches the port could use the models.",
        "Make a key with `modelgrid key new NAME` and put its hash under `gateway.keys`, or listen on 127.0.0.1.",
    ),
    "MG3006": Code(
        "an API key is given twice",
        "Two entries of `gateway.keys` have the same name or the same hash.",
        "Give each key its own name, and make a new key for each client.",
    ),
    "MG3007": Code(
        "a model has no source",
        "The engine serves weights that the configuration must name.",
        "Add `source` in a form that the engine takes: the hint names them.",
    ),
    "MG3008": Code(
        "a file is missing",
        "`source` names a file or folder of this host that does not exist, or one of several GGUF files that belong"
        " together is missing. Relative paths start at the configuration.",
        "Correct the path, or put the file there.",
    ),
    "MG3009": Code(
        "an engine has nothing to run",
        "An engine of your own (or `custom`) has no `image` for a model that runs in podman, or no `program` for one"
        " that runs native.",
        "Set `image` or `program` under `engines`.",
    ),
    "MG3010": Code(
        "a secret is written out",
        "The file holds a token, a password or a private key. Everyone who can read the file, or its history, has it.",
        "Revoke it where it was issued, and leave it out. ModelGrid has no way yet to hand a secret to a server, and no"
        " file of the host but the weights is shown in its container. Of weights that need a token, download them"
        " yourself and give their path as `source`; of an API key of the gateway, give the SHA-256.",
    ),
    "MG3011": Code(
        "an image is not fully qualified",
        "The reference has no registry, so what it means depends on the host's search list.",
        "Write the registry too: `docker.io/library/debian:13`, `ghcr.io/org/name:tag`; for a local image,"
        " `localhost/name`.",
    ),
    "MG3012": Code(
        "a variable may not be set",
        "`LD_PRELOAD` and other `LD_` variables load code into every program that the server starts.",
        "Build the library into the image, or set the variable in a script in the image.",
    ),
    "MG3013": Code(
        "the name of a variable is malformed",
        "Names of environment variables have letters, digits and underscores, and do not start with a digit.",
        "Correct the name.",
    ),
    "MG3014": Code(
        "the subnet is malformed",
        "`network.subnet` is not an IPv4 network in CIDR form from /16 to /24 whose host bits are zero.",
        "Write it like `10.133.0.0/16`.",
    ),
    "MG3015": Code(
        "a GPU is named twice",
        "The list under `gpus` has the same GPU more than once.",
        "Name each GPU once, or write how many.",
    ),
    "MG3016": Code(
        "an API key opens no model",
        "A pattern under a key's `models` matches the name of no model. Aliases do not count: a key opens a model under"
        " all its names, and is matched with the first of them.",
        "Write the model's name, the key under `models`, or a pattern that matches it; or remove the pattern.",
        warning=True,
    ),
    "MG3017": Code(
        "something is not used",
        "No model names the engine, server or secret that is declared under `engines`, `servers` or `secrets`.",
        "Remove it, or keep it under a key that starts with `x-`.",
        warning=True,
    ),
    "MG3018": Code(
        "a source is malformed",
        "`source` has a scheme that ModelGrid does not know, or not the form that its scheme has.",
        "Write a path, `hf://ORG/NAME`, `package://NAME`, or the engine's own name of the model.",
    ),
    "MG3019": Code(
        "the engine does not serve this",
        "The engine does not take such a source, or does not serve the task.",
        "Choose another engine, or a source in a form that it takes: the hint names them.",
    ),
    "MG3020": Code(
        "the server is unknown",
        "A model names a server that is not declared under `servers`.",
        "Correct the name, or declare the server.",
    ),
    "MG3021": Code(
        "a model has no server",
        "A model needs either an engine, which then serves it alone, or a server that it shares with others.",
        "Add `engine: NAME` or `server: NAME`.",
    ),
    "MG3022": Code(
        "a field belongs to the server",
        "How a shared server runs is said once, under `servers`. A model on it says only what it is itself.",
        "Move the field there.",
    ),
    "MG3023": Code(
        "the engine serves one model",
        "The engine of a shared server loads one model for each process.",
        "Give each model a server of its own with `engine`, or share an engine that can: ollama, llamacpp, infinity,"
        " speaches.",
    ),
    "MG3024": Code(
        "a fallback cannot stand in",
        "`fallback` names a model that is not in the file, the model itself, one twice, or one with another task.",
        "Name other models of the file, by their names, with the same task.",
    ),
    "MG3025": Code(
        "a secret is unknown",
        "A variable under `secrets` names a secret that the section `secrets` at the top does not have, or is set in"
        " `env` as well.",
        "Declare the secret, correct its name, or remove one of the two.",
    ),
    "MG3026": Code(
        "a secret has no single place",
        "A secret is a podman secret, a file of the host, or an encrypted file: one of them.",
        "Give exactly one of `podman`, `file` and `encrypted`.",
    ),
    "MG3027": Code(
        "replicas cannot share a port",
        "`port` fixes the port of one server, and `replicas` asks for several.",
        "Leave `port` out.",
    ),
    "MG3028": Code(
        "a built-in engine extends nothing",
        "`extends` is for engines of your own; an entry with the name of a built-in one changes that one.",
        "Leave `extends` out, or use another name.",
    ),
    "MG3029": Code(
        "the target says nothing",
        "`target` is there without facts or versions.",
        "Name the file that `modelgrid facts` wrote on the host, give `podman` and `systemd`, or leave `target` out.",
    ),
    "MG3030": Code(
        "the greenlist cannot be read",
        "The file is missing, is larger than 1 MiB or is no file; or the URL gives no answer, and no earlier one is in"
        " the cache.",
        "Correct the path or the URL. A list that was fetched once needs no network; a file never does.",
    ),
    "MG3031": Code(
        "the greenlist is not the one that was pinned",
        "The SHA-256 of what the source holds is not the one under `greenlist.sha256`: the list was changed, or"
        " somebody put another in its place.",
        "Read what changed. If it is right, pin the new hash; else find out who changed it.",
    ),
    "MG3032": Code(
        "the greenlist's source is not allowed",
        "A URL has no `sha256` beside it, is not https (http is for loopback only), or has a user or password in it.",
        "Use an https URL and pin its list with `sha256`, or name a file.",
    ),
    "MG3033": Code(
        "the greenlist is not JSON",
        "The text breaks JSON's grammar, is no JSON object, or has a number that JSON does not have.",
        "Look at the place that is shown. JSON has no comments, no comma before a closing bracket, and double quotes"
        " only.",
    ),
    "MG3034": Code(
        "the greenlist has not its form",
        "A key is unknown or missing, a value has the wrong type or is out of range, or the version is not 1.0.",
        'Write {"version": "1.0", "models": [{"name": "llama3:8b", "container": "ollama", "minVram": 8}]}, with one'
        " such rule for each model and engine; `minVram` is in GiB.",
    ),
    "MG3035": Code(
        "a rule is given twice",
        "The greenlist has two rules for one model and engine, and it is not clear which one counts.",
        "Remove one of them.",
    ),
    "MG3036": Code(
        "a model is not on the greenlist",
        "No rule lists what the model runs for its engine. That is the name in the engine's own library, or ORG/NAME of"
        " Hugging Face; of a file or folder, the name of the model in the configuration. Aliases do not count.",
        "Use a model that is listed, with the engine that it is listed for, or have it listed.",
    ),
    "MG3037": Code(
        "the host has not the GPU memory that the greenlist asks for",
        "All the GPUs that the model gets have together less memory than the rule's `minVram`.",
        "Give the model a larger GPU, or more of them with `gpus`, or use a model that needs less.",
    ),
    "MG3038": Code(
        "a model claims less GPU memory than the greenlist has for it",
        "`vram` is smaller than the rule's `minVram`, so placement keeps less room than the list says it needs.",
        "Claim at least as much.",
        warning=True,
    ),
    "MG3039": Code(
        "a model is on the greenlist by its name alone",
        "The rule lists the name that clients ask for, and the model runs a repository of Hugging Face under it. Any"
        " other repository would pass as well.",
        "List the repository, ORG/NAME, instead of the name.",
        warning=True,
    ),
    "MG3040": Code(
        "something is not in the lock file",
        "The configuration names an image or weights that the lock file beside it does not have: what they are is"
        " decided anew on each host. `check --locked` refuses it; elsewhere it is a warning.",
        "Run `modelgrid lock` and commit what it writes.",
    ),
    "MG3041": Code(
        "a reference has changed since it was locked",
        "The lock file has the image with another tag or digest than the configuration.",
        "Run `modelgrid lock` and commit what it writes.",
    ),
    "MG3042": Code(
        "the lock file has something that nobody uses",
        "No model of the configuration uses an image or weights that the lock file has.",
        "Run `modelgrid lock`, which removes it.",
        warning=True,
    ),
    "MG3043": Code(
        "a locked image is not for the host",
        "The lock file says for which architectures the image is, and that of the target is not among them.",
        "Choose an image for the target's architecture. Where its registry has one by now, `modelgrid lock --update`"
        " with the image's reference finds it.",
    ),
    "MG3044": Code(
        "a name cannot be resolved",
        "The registry, the hub or this host does not have what the configuration names, does not let this user see it,"
        " or sends something else than it says.",
        "The message says which. Correct the name, or log in.",
    ),
    "MG3050": Code(
        "a server has nothing to be reloaded by",
        "`on_change: reload` has `apply` reload the server, and nothing says how: engines have no common way.",
        "Write the key that the hint names, or use another value of `on_change`.",
    ),
    "MG4001": Code(
        "a model does not fit",
        "No GPU of the host has the memory that the model takes beside the others.",
        "Use a smaller model or quantisation, a shorter context, another GPU, or more GPUs.",
    ),
    "MG4002": Code(
        "a GPU is unknown",
        "`gpus` names an index or UUID that the host does not have, or more GPUs than it has.",
        "`modelgrid gpu list` shows the GPUs of this host; `modelgrid facts` writes them down for another.",
    ),
    "MG4003": Code(
        "two models get the same unit name",
        "The names differ only in characters that a unit name cannot have.",
        "Rename one of the models.",
    ),
    "MG4004": Code(
        "there is no address or port left",
        "The subnet or the range of ports has fewer places than there are models.",
        "Use a larger `network.subnet`, or fewer models.",
    ),
    "MG4005": Code(
        "the host lacks a program or runtime",
        "The model needs a program or podman, and the target host does not have it.",
        "Install it there, or choose another `runtime`.",
    ),
    "MG4006": Code(
        "the host cannot do this with the engine",
        "The engine has no image for the host's GPU, the GPU cannot be given to a container, or `egress: false` is"
        " asked of units of a user, which cannot close a server off.",
        "Set an image or choose another engine; leave `egress` out, or use the system's units, without `--user`.",
    ),
    "MG4007": Code(
        "a field has no effect",
        "The engine has no option for the field, or the runtime does not use it: a container on the internal network"
        " has no port of the host, a program has no image, a container no program of the host.",
        "Leave the field out, or follow the hint.",
        warning=True,
    ),
    "MG4008": Code(
        "a relative source is for another host",
        "The target is another host, and `source` is relative to a configuration that is not there.",
        "Write the absolute path that the weights have on the target.",
    ),
    "MG4009": Code(
        "the engine is legacy",
        "The engine's makers maintain it no further, or have named another in its place.",
        "Choose another engine.",
        warning=True,
    ),
    "MG4010": Code(
        "a secret cannot be handed over",
        "A podman secret needs podman. A file reaches a server as a file, so its variable has to name a path; Docker"
        " and rootless podman cannot take it from systemd.",
        "Use a variable that ends in `_PATH` or `_FILE`, or make the secret podman's: `podman secret create`.",
    ),
    "MG4020": Code(
        "it is not decided whether all models fit",
        "The models fill the GPUs so closely that the search for an arrangement ended before it found one, or proof"
        " that there is none. It ends after a number of steps, on every machine after the same.",
        "Pin the largest models to their GPUs with `gpus`, or leave more room.",
    ),
    "MG4021": Code(
        "a model is split over GPUs that are not equal",
        "A model on several GPUs takes the same of each, so they must have vendor, name and memory in common.",
        "Name GPUs that are equal, or ask for no more than there are of one kind.",
    ),
    "MG4022": Code(
        "what a model takes of a GPU is not known",
        "Several models are on one GPU, and of one of them neither the configuration nor the weights say how much"
        " memory it takes. An engine such as vLLM then takes nine tenths of the GPU.",
        "Give `vram`, or lock the model with `modelgrid lock`, which writes down what an estimate needs.",
        warning=True,
    ),
    "MG4030": Code(
        "a key of podman or systemd is unknown",
        "`quadlet` or `systemd` has a key that ModelGrid does not know in that section: it is misspelt, is not for a"
        " container or a service, or came with a later version.",
        "Correct it; podman-systemd.unit(5) and systemd.directives(7) list them. `PodmanArgs` takes any option.",
    ),
    "MG4031": Code(
        "a key is too new for the target",
        "`quadlet` or `systemd` has a key that the target's podman or systemd does not have, and that cannot be written"
        " in another way with the same meaning.",
        "Leave it out, or upgrade the target.",
    ),
    "MG4032": Code(
        "a key is ModelGrid's own",
        "`quadlet` or `systemd` has a key, or `PodmanArgs` an option, that ModelGrid writes itself. Two that disagree"
        " would leave a server that nobody reaches, or that is ready too early.",
        "Use what the hint names.",
    ),
    "MG4033": Code(
        "a value cannot be written for its key",
        "The key under `quadlet` or `systemd` takes another kind of value, one value only, or no such character: its"
        " reader would change it, or read it as something else.",
        "Write it in the form that the message names.",
    ),
    "MG4040": Code(
        "the target is too old for a key",
        "The unit needs a key that the target's podman or systemd does not have yet, and an older one with the same"
        " meaning does not exist.",
        "Upgrade the target, or leave out the part of the configuration that needs the key.",
    ),
    "MG4041": Code(
        "podman's generator refuses the unit",
        "The generator of the host, which makes services of quadlets, does not take what the value became.",
        "Change the value as the generator's words say; `modelgrid compile` shows the quadlet.",
    ),
    "MG4042": Code(
        "systemd refuses the unit",
        "`systemd-analyze verify` on the host does not take what the value became.",
        "Change the value as systemd's words say; `modelgrid compile` shows the unit.",
    ),
}

"""An engine that answers at once: an OpenAI server in a few lines of Perl, which every Debian image has.

It says of itself that it is one word after the other, streamed or whole, so that a client can count what it gets.
"""

from __future__ import annotations

from tests.machine.images import LLAMA_IMAGE

#: Where it lies on a machine: to the configuration, it is the model's weights.
PATH = "/srv/models/tiny.pl"

#: The engine of a configuration that runs it. Its first argument is the pause before each word, in milliseconds.
ENGINE = f"""\
  tiny:
    image: {LLAMA_IMAGE}
    entrypoint: /usr/bin/perl
    port: 9000
    command: ["{{source}}", "{{port}}"]
    apis: [/v1/chat/completions]
    health: {{path: /health, command: "curl -fsS -o /dev/null http://127.0.0.1:{{port}}/health"}}
"""

PROGRAM = r"""
use strict;
use warnings;
use IO::Socket::INET;

my ($port, $pause) = @ARGV;
$pause //= 0;
$SIG{CHLD} = 'IGNORE';
$SIG{PIPE} = 'IGNORE';
$SIG{TERM} = sub { exit 0 };
my $listening = IO::Socket::INET->new(LocalPort => $port, Listen => 511, ReuseAddr => 1) or die "port $port: $!";
while (1) {
    my $client = $listening->accept or next;
    next if fork;
    close $listening;
    $SIG{TERM} = 'DEFAULT';
    while (serve($client)) {}
    exit 0;
}

sub serve {
    my $client = shift;
    $client->autoflush(1);
    my $head = '';
    while (my $line = <$client>) {
        last if $line =~ /^\r?\n$/;
        $head .= $line;
    }
    return 0 if $head eq '';
    my ($length) = $head =~ /^content-length:\s*(\d+)/mi;
    my $body = '';
    read $client, $body, $length if $length;
    return whole($client, 'ok') if $head =~ /^GET /;
    my ($words) = $body =~ /"max_tokens"\s*:\s*(\d+)/;
    my @words = map { "word$_ " } 1 .. ($words // 8);
    if ($body !~ /"stream"\s*:\s*true/) {
        my $text = join '', @words;
        return whole($client, qq({"object":"chat.completion","choices":[{"index":0,"message":{"content":"$text"}}]}));
    }
    print $client "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    for my $word (@words) {
        select undef, undef, undef, $pause / 1000 if $pause;
        chunk($client, qq(data: {"choices":[{"index":0,"delta":{"content":"$word"}}]}\n\n)) or return 0;
    }
    return chunk($client, "data: [DONE]\n\n") && print $client "0\r\n\r\n";
}

sub chunk {
    my ($client, $text) = @_;
    return printf $client "%x\r\n%s\r\n", length $text, $text;
}

sub whole {
    my ($client, $text) = @_;
    my $type = $text =~ /^\{/ ? 'application/json' : 'text/plain';
    my $length = length $text;
    return print $client "HTTP/1.1 200 OK\r\ncontent-type: $type\r\ncontent-length: $length\r\n\r\n$text";
}
"""

// http: exchanges. A message comes in, an answer goes out; what carries them (HTTP/1.1 on TCP or a
// Unix socket now, TLS and HTTP/2 later) stays behind this face.
//
//   http/head.h      Header, RequestHead, ResponseHead: the words
//   http/message.h   BodyReader, BodyWriter: bodies that move
//   http/parse.h     the strict HTTP/1.1 reader: plain functions over bytes, no I/O
//   http/format.h    heads and chunks as bytes
//   http/server.h    Server, Exchange, Handler: calls that come in
//   http/client.h    Client, Upstream: calls that go out, over pooled connections
//
// head, parse and format are a library of their own, fathom::http_parse, which needs core only (the
// static watchdog links it).
//
// An ambiguous message is refused, never normalised.
#pragma once

#include "http/client.h"
#include "http/message.h"
#include "http/server.h"

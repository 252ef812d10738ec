// Package strictjson reads JSON that others wrote: tokens, key sets, requests. encoding/json takes what two readers understand
// differently: the last of two equal names, names in any case, bytes that are not UTF-8, half a character. This takes none of it.
//
// # The model
//
// [Parse] reads one object (RFC 8259, RFC 7493), checks it in all its depth, and returns its members in their order, each as it was
// written. A [Member] says what it is when it is asked: a text, texts, a number. What is within it is checked already.
//
// # Laws
//
//  1. One text, one meaning: no name twice in an object at any depth, escaped or not; names in their exact case; valid UTF-8, no
//     surrogate without its half; nothing before or after the object. Numbers within ±2^53, unless [Rules] take any.
//  2. The work is proportional to the length of the text: depth is bounded, and repeated names are found by their hash.
//  3. An error holds nothing of the text but, for who asks, a repeated name; and a name is repeated to anybody only by [Echo], as it
//     may be a credential that stands in the wrong place.
//
// Not here: which names there may be, and what their values may be. Nothing is written.
package strictjson

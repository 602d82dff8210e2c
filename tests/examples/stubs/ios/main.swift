import Foundation

/// Runs the package's classifier, with what its bundle would have beside this program.
let arguments = CommandLine.arguments
let classifier = try openClassifier()
if arguments[1] == "processor" { Desk.ask("tell", Data(classifier.processor.utf8)) }
if arguments[1] == "selftest" { Desk.ask("tell", Data(try classifier.selfTest().utf8)) }
for path in arguments.dropFirst(2) {
    let photo = try decode(Data(contentsOf: URL(fileURLWithPath: path)))
    if arguments[1] == "pixels" {
        Desk.ask("pixels", bytes(classifier.model.preprocessing.input(photo)))
    } else {
        let answer = try classifier.classify(photo)
        let guesses = answer.guesses.map { "\($0.label) \($0.probability)" }
        let text = (guesses + [answer.summary ?? "null"]).joined(separator: "\n")
        Desk.ask("tell", Data(text.utf8))
    }
}

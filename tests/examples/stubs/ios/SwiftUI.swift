import Foundation

public protocol View {
    associatedtype Body: View
    @ViewBuilder var body: Body { get }
}

extension Never: View { public var body: Never { return fatalError() } }

public protocol Leaf: View where Body == Never {}
extension Leaf { public var body: Never { return fatalError() } }

extension Optional: View where Wrapped: View {
    public var body: Never { return fatalError() }
}
public struct Several<each Part>: Leaf { let parts: (repeat each Part) }

@resultBuilder
public enum ViewBuilder {
    public static func buildBlock<each Part: View>(
        _ parts: repeat each Part
    ) -> Several<repeat each Part> {
        Several(parts: (repeat each parts))
    }
    public static func buildIf<Part: View>(_ part: Part?) -> Part? { part }
}

struct VStack: Leaf {
    init(spacing: CGFloat? = nil, @ViewBuilder content: () -> some View) {}
}

struct Text: Leaf { init(_ text: String) {} }
struct Image: Leaf { init(decorative: CGImage, scale: CGFloat) {} }
struct Button: Leaf { init(_ title: String, action: @escaping () -> Void) {} }
enum Font { case title3 }

extension Image { func resizable() -> Image { self } }

extension View {
    func scaledToFit() -> some View { self }
    func font(_ font: Font?) -> some View { self }
    func padding() -> some View { self }
    func onAppear(perform: @escaping () -> Void) -> some View { self }
    func onDisappear(perform: @escaping () -> Void) -> some View { self }
    func onChange<Value: Equatable>(
        of value: Value, perform: @escaping (Value) -> Void
    ) -> some View { self }
}

protocol ObservableObject: AnyObject {}

@propertyWrapper
struct StateObject<Object: ObservableObject> {
    let wrappedValue: Object
    init(wrappedValue: Object) { self.wrappedValue = wrappedValue }
}

@propertyWrapper
struct State<Value> {
    var wrappedValue: Value
    var projectedValue: Binding<Value> { Binding() }
    init(wrappedValue: Value) { self.wrappedValue = wrappedValue }
}

@propertyWrapper
struct Published<Value> {
    var wrappedValue: Value
    init(wrappedValue: Value) { self.wrappedValue = wrappedValue }
}

struct Binding<Value> {}

struct PhotosPickerItem: Equatable {
    func loadTransferable(type: Data.Type) async throws -> Data? { nil }
}

enum PHPickerFilter { case images }

struct PhotosPicker: Leaf {
    init(
        _ title: String, selection: Binding<PhotosPickerItem?>, matching: PHPickerFilter? = nil
    ) {}
}

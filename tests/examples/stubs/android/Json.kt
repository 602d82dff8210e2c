package org.json

/** As much of Android's org.json as the app uses. */
class JSONObject internal constructor(private val map: Map<String, Any?>) {
    @Suppress("UNCHECKED_CAST")
    constructor(text: String) : this(Parser(text).value() as Map<String, Any?>)

    private fun value(name: String) = map[name] ?: throw JSONException("no value for $name")

    @Suppress("UNCHECKED_CAST")
    fun getJSONObject(name: String) = JSONObject(value(name) as Map<String, Any?>)

    fun getJSONArray(name: String) = JSONArray(value(name) as List<*>)

    fun getString(name: String) = value(name) as String

    fun getInt(name: String) = (value(name) as Double).toInt()

    fun getDouble(name: String) = value(name) as Double

    fun optInt(name: String) = (map[name] as? Double)?.toInt() ?: 0

    fun optDouble(name: String, fallback: Double) = map[name] as? Double ?: fallback

    fun optJSONObject(name: String): JSONObject? = map[name]?.let { getJSONObject(name) }

    fun has(name: String) = name in map

    fun keys(): Iterator<String> = map.keys.iterator()
}

class JSONArray internal constructor(private val list: List<*>) {
    @Suppress("UNCHECKED_CAST")
    fun getJSONObject(place: Int) = JSONObject(list[place] as Map<String, Any?>)

    fun getString(place: Int) = list[place] as String

    fun getInt(place: Int) = (list[place] as Double).toInt()

    fun getDouble(place: Int) = list[place] as Double

    fun length() = list.size
}

class JSONException(message: String) : Exception(message)

private class Parser(private val text: String) {
    private var at = 0

    fun value(): Any? {
        skip()
        return when (text[at]) {
            '{' -> inside('}') { (string() to value().also { }) }.toMap()
            '[' -> inside(']') { value() }
            '"' -> string()
            else -> word()
        }
    }

    private fun skip() {
        while (text[at].isWhitespace() || text[at] in ",:") at++
    }

    private fun <T> inside(end: Char, item: () -> T): List<T> {
        at++
        val items = mutableListOf<T>()
        while (true) {
            skip()
            if (text[at] == end) break
            items += item()
        }
        at++
        return items
    }

    private fun string(): String {
        skip()
        val found = StringBuilder()
        while (text[++at] != '"') {
            found.append(if (text[at] == '\\') escaped() else text[at])
        }
        at++
        return found.toString()
    }

    private fun escaped(): Char = when (val letter = text[++at]) {
        'n' -> '\n'
        't' -> '\t'
        'u' -> text.substring(at + 1, at + 5).toInt(16).toChar().also { at += 4 }
        else -> letter
    }

    private fun word(): Any? {
        val start = at
        while (at < text.length && text[at] !in ",]} \n") at++
        return when (val word = text.substring(start, at)) {
            "null" -> null
            "true", "false" -> word == "true"
            else -> word.toDouble()
        }
    }
}

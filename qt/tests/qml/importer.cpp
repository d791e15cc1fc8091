// Imports the module in a new engine for each argument: an import path to add, or "-" for none. With --file F the
// engines load F instead. Fails if that fails, or if anything is logged.
#include <QtCore/qcommandlineparser.h>
#include <QtCore/qurl.h>
#include <QtGui/qguiapplication.h>
#include <QtQml/qqmlcomponent.h>
#include <QtQml/qqmlengine.h>

#include <cstdio>
#include <memory>

namespace {

bool logged = false;

void fail(QtMsgType, const QMessageLogContext &, const QString &message)
{
    logged = true;
    std::fprintf(stderr, "%s\n", qPrintable(message));
}

QString text(const char *literal)
{
    return QString::fromUtf8(literal);
}

bool load(const QString &path, const QString &file, const QString &statement)
{
    QQmlEngine engine;
    if (path != text("-"))
        engine.addImportPath(path);
    std::unique_ptr<QQmlComponent> component;
    if (file.isEmpty()) {
        component = std::make_unique<QQmlComponent>(&engine);
        component->setData(QStringLiteral("import QtQml 2.15\n%1\n"
                                          "QtObject {\n"
                                          "    property list<QtObject> all: [\n"
                                          "        NanostateClient { id: hub; active: false },\n"
                                          "        SharedState { client: hub },\n"
                                          "        StateListener { client: hub },\n"
                                          "        StateModel { client: hub }\n"
                                          "    ]\n"
                                          "}\n").arg(statement).toUtf8(), QUrl());
    } else {
        component = std::make_unique<QQmlComponent>(&engine, QUrl::fromLocalFile(file));
    }
    const std::unique_ptr<QObject> object(component->isReady() ? component->create() : nullptr);
    if (!object)
        std::fprintf(stderr, "%s\n", qPrintable(component->errorString()));
    return object != nullptr;
}

} // namespace

int main(int argc, char **argv)
{
    const QGuiApplication app(argc, argv);
    qInstallMessageHandler(fail);
    QCommandLineParser parser;
    const QCommandLineOption file(text("file"), QString(), text("file"));
    const QCommandLineOption import(text("import"), QString(), text("statement"), text("import Nanostate 1.0"));
    parser.addOptions({file, import});
    parser.process(app);
    bool loaded = true;
    const QStringList paths = parser.positionalArguments();
    for (const QString &path : paths)
        loaded = load(path, parser.value(file), parser.value(import)) && loaded;
    return loaded && !logged ? 0 : 1;
}

// A QML file in a program of its own: window NAME URL FILE. For tests in other languages, which let it do what the lines
// of standard input say. It answers each with one line: [RESULT] in JSON, or "why not".
//
//   = EXPRESSION         the value of an expression in the file
//   type SENDER NAME     the type in which the client of the file, `hub`, has a value
//   drag ITEM FROM TO    drags the handle of a slider from one value to another, and lets it go
//
// NAME and URL are for the file: the second and third of Qt.application.arguments.
#include <NanostateQt/client.h>

#include <QtCore/qjsonarray.h>
#include <QtCore/qjsondocument.h>
#include <QtCore/qsocketnotifier.h>
#include <QtGui/qguiapplication.h>
#include <QtQml/qjsvalue.h>
#include <QtQml/qqmlapplicationengine.h>
#include <QtQml/qqmlcontext.h>
#include <QtQml/qqmlexpression.h>
#include <QtQuick/qquickitem.h>
#include <QtQuick/qquickwindow.h>
#include <QtTest/qtest.h>

#include <unistd.h>

#include <cstdio>

namespace {

QString text(const char *literal)
{
    return QString::fromUtf8(literal);
}

// Why a command cannot be carried out.
struct Failure
{
    QString why;
};

QVariant evaluate(QObject *root, const QString &line)
{
    QQmlExpression expression(qmlContext(root), root, line);
    const QVariant value = expression.evaluate();
    if (expression.hasError())
        throw Failure{expression.error().toString()};
    return value.userType() == qMetaTypeId<QJSValue>() ? value.value<QJSValue>().toVariant() : value;
}

QVariant type(QObject *root, const QString &sender, const QString &name)
{
    const auto *client = qobject_cast<NanostateQt::Client *>(evaluate(root, text("hub")).value<QObject *>());
    if (client == nullptr)
        throw Failure{text("no client that is named hub")};
    return text(client->value(name, sender).typeName());
}

QVariant drag(QObject *root, const QString &name, int from, int to)
{
    auto *window = qobject_cast<QQuickWindow *>(root);
    auto *slider = root->findChild<QQuickItem *>(name);
    if (window == nullptr || slider == nullptr || !QTest::qWaitForWindowExposed(window, 60000))
        throw Failure{text("no window with an item %1").arg(name)};
    const qreal handle = slider->property("handle").value<QQuickItem *>()->width();
    const qreal first = slider->property("from").toReal();
    const auto at = [&](int value) {
        const qreal part = (value - first) / (slider->property("to").toReal() - first);
        const qreal x = slider->property("leftPadding").toReal() + handle / 2
            + part * (slider->property("availableWidth").toReal() - handle);
        return slider->mapToScene(QPointF(x, slider->height() / 2)).toPoint();
    };
    QTest::mousePress(window, Qt::LeftButton, Qt::NoModifier, at(from));
    for (int value = from; value != to; value += from < to ? 1 : -1)
        QTest::mouseMove(window, at(value));
    QTest::mouseMove(window, at(to));
    QTest::mouseRelease(window, Qt::LeftButton, Qt::NoModifier, at(to));
    return {};
}

QVariant obey(QObject *root, const QString &line)
{
    const QStringList words = line.split(QLatin1Char(' '));
    if (words[0] == text("=") && words.size() > 1)
        return evaluate(root, line.mid(2));
    if (words[0] == text("type") && words.size() == 3)
        return type(root, words[1], words[2]);
    if (words[0] == text("drag") && words.size() == 4)
        return drag(root, words[1], words[2].toInt(), words[3].toInt());
    throw Failure{text("not a command: %1").arg(line)};
}

void answer(QObject *root, const QString &line)
{
    QByteArray json;
    try {
        json = QJsonDocument(QJsonArray{QJsonValue::fromVariant(obey(root, line))}).toJson(QJsonDocument::Compact);
    } catch (const Failure &failure) {
        json = QJsonDocument(QJsonArray{failure.why}).toJson(QJsonDocument::Compact);
        json = json.mid(1, json.size() - 2);
    }
    std::printf("%s\n", json.constData());
    std::fflush(stdout);
}

} // namespace

int main(int argc, char **argv)
{
    const QGuiApplication app(argc, argv);
    if (argc != 4) {
        std::fprintf(stderr, "usage: window NAME URL FILE\n");
        return 2;
    }
    QQmlApplicationEngine engine(QUrl::fromLocalFile(QString::fromLocal8Bit(argv[3])));
    if (engine.rootObjects().isEmpty())
        return 1;
    QObject *root = engine.rootObjects().first();

    QByteArray input;
    QSocketNotifier notifier(STDIN_FILENO, QSocketNotifier::Read);
    QObject::connect(&notifier, &QSocketNotifier::activated, root, [&] {
        char buffer[4096];
        const ssize_t got = read(STDIN_FILENO, buffer, sizeof buffer);
        if (got <= 0)
            return QCoreApplication::quit();
        input.append(buffer, int(got));
        for (int end = int(input.indexOf('\n')); end >= 0; end = int(input.indexOf('\n'))) {
            const QString line = QString::fromUtf8(input.left(end));
            input.remove(0, end + 1);
            answer(root, line);
        }
    });
    return QGuiApplication::exec();
}

// A table of all states, and a line to publish one: NanostateQt::Client in a program with widgets.
#include <QtCore/QByteArrayList>
#include <QtCore/QCommandLineParser>
#include <QtCore/QDateTime>
#include <QtCore/QJsonArray>
#include <QtCore/QJsonDocument>
#include <QtCore/QSortFilterProxyModel>
#include <QtCore/QTimer>
#include <QtGui/QPixmap>
#include <QtGui/QStandardItemModel>
#include <QtWidgets/QApplication>
#include <QtWidgets/QGridLayout>
#include <QtWidgets/QHeaderView>
#include <QtWidgets/QLabel>
#include <QtWidgets/QLineEdit>
#include <QtWidgets/QMainWindow>
#include <QtWidgets/QPushButton>
#include <QtWidgets/QStatusBar>
#include <QtWidgets/QTableView>

#include <NanostateQt/client.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>

using NanostateQt::Client;

namespace {

// Any value in one line.
QString toText(const QVariant &value)
{
    switch (value.userType()) {
    case QMetaType::QByteArray:
        return QStringLiteral("0x") + QString::fromLatin1(value.toByteArray().toHex());
    case QMetaType::QVariantList:
    case QMetaType::QVariantMap:
        return QString::fromUtf8(QJsonDocument::fromVariant(value).toJson(QJsonDocument::Compact));
    case QMetaType::QDateTime:
        return value.toDateTime().toString(Qt::ISODateWithMs);
    default:
        return value.isNull() ? QStringLiteral("null") : value.toString();
    }
}

// Input of the user: 21.5, true, null, [1, 2] and {"a": 1} are read as JSON, anything else is text.
QVariant fromText(const QString &text)
{
    const QJsonDocument document = QJsonDocument::fromJson('[' + text.toUtf8() + ']');
    const QJsonArray values = document.array();
    return values.size() == 1 ? values.first().toVariant() : QVariant(text);
}

class Window : public QMainWindow
{
public:
    explicit Window(Client *client);

    bool hasStates() const { return m_states.rowCount() > 0; }

private:
    void setState(const QString &sender, const QString &name, const QVariant &value);
    void removeState(const QString &sender, const QString &name);
    void publish();
    void showConnection();

    Client *m_client;
    QStandardItemModel m_states;
    QSortFilterProxyModel m_sorted;
    // The first item of the row of (sender, name).
    QHash<QPair<QString, QString>, QStandardItem *> m_items;
    QLineEdit *m_name = new QLineEdit;
    QLineEdit *m_value = new QLineEdit;
    QLabel *m_connection = new QLabel;
};

Window::Window(Client *client)
    : m_client(client)
{
    setWindowTitle(QStringLiteral("nanostate: %1").arg(client->identity()));
    resize(720, 480);

    m_states.setHorizontalHeaderLabels({QStringLiteral("Name"), QStringLiteral("Value"), QStringLiteral("Sender"),
                                        QStringLiteral("Time")});
    m_sorted.setSourceModel(&m_states);
    auto *table = new QTableView;
    table->setModel(&m_sorted);
    table->setSortingEnabled(true);
    table->sortByColumn(0, Qt::AscendingOrder);
    table->setEditTriggers(QAbstractItemView::NoEditTriggers);
    table->setSelectionBehavior(QAbstractItemView::SelectRows);
    table->setAlternatingRowColors(true);
    table->setShowGrid(false);
    table->verticalHeader()->hide();
    table->verticalHeader()->setDefaultSectionSize(fontMetrics().height() + 10);
    table->horizontalHeader()->setDefaultAlignment(Qt::AlignLeft | Qt::AlignVCenter);
    table->horizontalHeader()->setSectionResizeMode(1, QHeaderView::Stretch);
    table->setColumnWidth(0, 180);

    m_name->setPlaceholderText(QStringLiteral("Name, like room/temperature"));
    m_value->setPlaceholderText(QStringLiteral("Value: text, or JSON like 21.5, true, [1, 2]"));
    auto *button = new QPushButton(QStringLiteral("Publish"));
    auto *layout = new QGridLayout;
    layout->addWidget(table, 0, 0, 1, 3);
    layout->addWidget(m_name, 1, 0);
    layout->addWidget(m_value, 1, 1);
    layout->addWidget(button, 1, 2);
    layout->setColumnStretch(0, 1);
    layout->setColumnStretch(1, 2);
    auto *center = new QWidget;
    center->setLayout(layout);
    setCentralWidget(center);
    m_connection->setContentsMargins(8, 0, 8, 0);
    statusBar()->addWidget(m_connection);
    m_name->setFocus();

    connect(button, &QPushButton::clicked, this, &Window::publish);
    connect(m_name, &QLineEdit::returnPressed, this, &Window::publish);
    connect(m_value, &QLineEdit::returnPressed, this, &Window::publish);
    // A row takes a click's values into the line.
    connect(table, &QTableView::clicked, this, [this](const QModelIndex &index) {
        m_name->setText(index.siblingAtColumn(0).data().toString());
        m_value->setText(index.siblingAtColumn(1).data().toString());
    });

    connect(m_client, &Client::stateUpdated, this, &Window::setState);
    connect(m_client, &Client::stateCleared, this, &Window::removeState);
    connect(m_client, &Client::stateChanged, this, &Window::showConnection);
    connect(m_client, &Client::errorChanged, this, &Window::showConnection);
    showConnection();
}

void Window::setState(const QString &sender, const QString &name, const QVariant &value)
{
    QStandardItem *&first = m_items[qMakePair(sender, name)];
    if (first == nullptr) {
        first = new QStandardItem(name);
        m_states.appendRow({first, new QStandardItem, new QStandardItem(sender), new QStandardItem});
    }
    const int row = first->row();
    m_states.item(row, 1)->setText(toText(value));
    m_states.item(row, 3)->setText(QDateTime::currentDateTime().toString(QStringLiteral("hh:mm:ss")));
}

void Window::removeState(const QString &sender, const QString &name)
{
    if (const QStandardItem *first = m_items.take(qMakePair(sender, name)))
        m_states.removeRow(first->row());
}

void Window::publish()
{
    const QString name = m_name->text();
    const QVariant value = fromText(m_value->text());
    if (!m_client->publish(name, value)) {
        statusBar()->showMessage(QStringLiteral("Not published: %1").arg(m_client->errorString()), 8000);
        return;
    }
    // stateUpdated is emitted only for states of other programs.
    setState(m_client->identity(), name, value);
    statusBar()->showMessage(m_client->state() == Client::State::Connected
                                 ? QStringLiteral("Published %1").arg(name)
                                 : QStringLiteral("%1 goes out when there is a connection").arg(name), 4000);
    m_value->clear();
}

void Window::showConnection()
{
    const QString why = m_client->errorString();
    switch (m_client->state()) {
    case Client::State::Connected:
        m_connection->setText(QStringLiteral("Connected as %1").arg(m_client->identity()));
        break;
    case Client::State::Connecting:
        m_connection->setText(why.isEmpty() ? QStringLiteral("Connecting\u2026")
                                            : QStringLiteral("Connecting\u2026 %1").arg(why));
        break;
    case Client::State::Refused:
        m_connection->setText(QStringLiteral("Refused: %1 (--identity gives another name)").arg(why));
        break;
    case Client::State::Disconnected:
        m_connection->setText(QStringLiteral("Not connected: %1").arg(why));
        break;
    }
}

int fail(const QString &text, int code = EXIT_FAILURE)
{
    std::fprintf(stderr, "widgets: %s\n", qPrintable(text));
    return code;
}

// Whether it is asked for words only, which need no display. A QGuiApplication without one ends the program.
bool wantsWords(int argc, char **argv)
{
    const QByteArrayList options{"-h", "--help", "--help-all", "-v", "--version"};
    return std::any_of(argv + 1, argv + argc, [&](const char *argument) { return options.contains(argument); });
}

} // namespace

int main(int argc, char **argv)
{
    const bool words = wantsWords(argc, argv);
    const std::unique_ptr<QCoreApplication> app(words ? new QCoreApplication(argc, argv)
                                                      : new QApplication(argc, argv));
    QCoreApplication::setApplicationName(QStringLiteral("widgets"));
    QCoreApplication::setApplicationVersion(QString::fromLatin1(ns_version()));

    QCommandLineParser parser;
    parser.setApplicationDescription(QStringLiteral("Shows all states, and publishes."));
    const QCommandLineOption help = parser.addHelpOption();
    const QCommandLineOption version = parser.addVersionOption();
    const QCommandLineOption urlOption(QStringLiteral("url"),
        QStringLiteral("The hub. Default: $NANOSTATE_URL, else %1.").arg(QLatin1String(NS_DEFAULT_URL)),
        QStringLiteral("URL"));
    const QCommandLineOption identityOption(QStringLiteral("identity"),
        QStringLiteral("The name on the hub, one for each running program. Default: widgets."), QStringLiteral("NAME"),
        QStringLiteral("widgets"));
    const QCommandLineOption screenshotOption(QStringLiteral("screenshot"),
        QStringLiteral("Write the window to FILE shortly after the first states have come, and exit."),
        QStringLiteral("FILE"));
    parser.addOptions({urlOption, identityOption, screenshotOption});
    if (!parser.parse(QCoreApplication::arguments()))
        return fail(parser.errorText() + QStringLiteral(" (--help lists the options)"), 2);
    if (parser.isSet(help))
        parser.showHelp();
    if (parser.isSet(version))
        parser.showVersion();
    if (words)
        return fail(QStringLiteral("an option without its value (--help lists the options)"), 2);

    Client client(parser.value(identityOption), parser.value(urlOption));
    Window window(&client);
    window.show();
    client.setActive(true);

    QTimer shot;
    if (parser.isSet(screenshotOption)) {
        shot.setSingleShot(true);
        QObject::connect(&shot, &QTimer::timeout, &window, [&] {
            const QString path = parser.value(screenshotOption);
            if (!window.hasStates())
                QCoreApplication::exit(fail(QStringLiteral("no screenshot: no states within 30 s. %1").arg(client.errorString())));
            else
                QCoreApplication::exit(window.grab().save(path, nullptr, 0) ? EXIT_SUCCESS
                                                              : fail(QStringLiteral("cannot write %1").arg(path)));
        });
        shot.start(30000);
        QObject::connect(&client, &Client::stateUpdated, &shot, [&] {
            if (shot.interval() > 1500)
                shot.start(1500);
        });
    }
    return QApplication::exec();
}

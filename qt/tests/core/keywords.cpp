// An old program with the keywords of Qt and its old include lines. It has to compile, and runs once.
#include "cnanostate/nanostate.h"
#include "qtnanostate/qnanostate.h"

#include <NanostateQt/NanostateQt>

#include <QCoreApplication>

class Listener : public QObject
{
    Q_OBJECT

public:
    explicit Listener(QNanostate *nanostate)
    {
        qRegisterMetaType<std::string>("std::string");
        connect(nanostate, SIGNAL(state_updated(const std::string &, const std::string &, const std::string &)), this,
                SLOT(updated(const std::string &, const std::string &, const std::string &)));
    }

signals:
    void done();

public slots:
    void updated(const std::string &, const std::string &, const std::string &) { emit done(); }
};

int main(int argc, char **argv)
{
    QNanostate nanostate("old", "inproc://nobody");
    QCoreApplication app(argc, argv);
    Listener listener(&nanostate);
    QObject::connect(&listener, SIGNAL(done()), &app, SLOT(quit()));
    nanostate.start();
    emit listener.done();
    nanostate.quit();
    return nanostate.wait() && nanostate.get_identity() == "old" ? 0 : 1;
}

#include "keywords.moc"

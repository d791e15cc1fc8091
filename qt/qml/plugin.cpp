#include "registration.h"

#include <QtQml/qqmlextensionplugin.h>

// For programs that find the module by the import path, whether or not they link the library.
class NanostatePlugin : public QQmlExtensionPlugin
{
    Q_OBJECT
    Q_PLUGIN_METADATA(IID QQmlExtensionInterface_iid)

public:
    // The library has already registered the types, and an engine rejects a plugin for a module that has any.
    NanostatePlugin() { NanostateQt::unregisterQmlTypes(); }

    void registerTypes(const char *uri) override
    {
        Q_UNUSED(uri)
        NanostateQt::registerQmlTypes();
    }
};

#include "plugin.moc"
